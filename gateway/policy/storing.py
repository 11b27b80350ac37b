"""May we keep it (RFC 9111 section 3)?

Asked when a response head has arrived, and answered with what to keep it under or with the
reason why not. Whether the body arrives whole is for the edge to see.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self, TypeAlias

from gateway.policy import groups, invalidation, refresh, vary
from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives, parse_request, parse_response
from gateway.policy.freshness import (
    CACHEABLE_BY_DEFAULT,
    EXPLICIT,
    LifetimeSource,
    freshness_lifetime,
    is_anonymous,
)
from gateway.policy.negotiation import listed
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.stored import NOWHERE, Filed, NominatedField, StoredResponse
from gateway.wire import dates
from gateway.wire.fields import Fields, elements, line
from gateway.wire.message import RequestHead, ResponseHead

UNDERSTOOD_STATUSES: Final = frozenset(
    status.value for status in HTTPStatus if status >= 200 and status not in (206, 304)
)
"""Statuses whose caching requirements we meet, for must-understand (section 5.2.2.3)."""

VARIANTS_UNDER_ONE_KEY: Final = 32
"""More, and an origin that varies on what never repeats would fill the store with one URL."""


class Unstorable(StrEnum):
    """Why a response isn't kept; each knows the section that says so."""

    section: str

    def __new__(cls, word: str, section: str) -> Self:
        """Make the member whose value is *word*."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.section = section
        return member

    OFF = "cache-off", "rules.yaml"
    """The route says ``cache: off``."""
    METHOD = "method", "RFC 9111 section 3"
    """Only what a GET brought is kept, and what a POST did under RFC 9110 section 9.3.3."""
    INTERIM = "interim", "RFC 9111 section 3"
    """A 1xx isn't the response yet."""
    NOT_MODIFIED = "not-modified", "RFC 9111 section 4.3.4"
    """A 304 updates what is stored and is nothing by itself."""
    PARTIAL = "partial", "RFC 9111 section 3.3"
    """A 206: incomplete responses aren't kept."""
    NOT_UNDERSTOOD = "not-understood", "RFC 9111 section 5.2.2.3"
    """must-understand, with a status whose caching rules we don't know."""
    NO_STORE = "no-store", "RFC 9111 section 5.2.2.5"
    REQUEST_NO_STORE = "request-no-store", "RFC 9111 section 5.2.1.5"
    PRIVATE = "private", "RFC 9111 section 5.2.2.7"
    AUTHORIZATION = "authorization", "RFC 9111 section 3.5"
    """Nothing in the response lets a shared cache keep what credentials unlocked."""
    SET_COOKIE = "set-cookie", "RFC 9111 section 7.3"
    """It would hand one client's cookie to others."""
    VARY = "vary", "RFC 9111 section 4.1"
    """``Vary: *``, or a Vary that can't be read: no later request would match."""
    STATUS = "status", "RFC 9111 section 3"
    """Neither explicit freshness nor a status that is cacheable by default."""
    ERROR = "error", "RFC 9111 section 3"
    """An error that nobody gave a lifetime: it would only displace what was there before."""
    CONTENT_TYPE = "content-type", "rules.yaml"
    """The route keeps other media types: what came isn't what its paths promise."""
    USELESS = "useless", "RFC 9111 section 3"
    """Never fresh, and without a validator it couldn't be made so."""


_NO_RESPONSE_BY_ITSELF: Final = {304: Unstorable.NOT_MODIFIED, 206: Unstorable.PARTIAL}


@dataclass(slots=True)
class Store:
    """Keep it."""

    lifetime: float
    """Freshness lifetime in seconds; 0 when it must be validated before its first use."""
    nominated: tuple[NominatedField, ...]
    directives: ResponseDirectives
    rules: CacheRules | None = None


@dataclass(slots=True)
class Pass:
    """Send it on and keep nothing."""

    why: Unstorable


Decision: TypeAlias = Store | Pass


def decide(
    request: RequestHead,
    response: ResponseHead,
    rules: CacheRules,
    arrival: Arrival,
    chance: float = 0.0,
) -> Decision:
    """Return whether *response* may be kept.

    On a public route the origin never saw the credentials of *request*: there they are
    stripped before every fetch, so here they count as absent. *chance*, at least 0 and less
    than 1, spreads lifetimes where the rules say so; 0 leaves them whole. What a POST
    brought is kept to answer a GET of the same target.
    """
    if not rules.enabled:
        return Pass(Unstorable.OFF)
    if request.method != b"GET" and not _represents_target(request, response):
        return Pass(Unstorable.METHOD)
    status = response.status
    if status < 200 or status in _NO_RESPONSE_BY_ITSELF:
        return Pass(_NO_RESPONSE_BY_ITSELF.get(status, Unstorable.INTERIM))
    if parse_request(request.fields).no_store:
        return Pass(Unstorable.REQUEST_NO_STORE)
    directives = parse_response(response.fields)
    why = forbidden(status, response.fields, directives, rules)
    if why is None and not _authorised(request, directives, rules):
        why = Unstorable.AUTHORIZATION
    if why is not None:
        return Pass(why)
    nominated = vary.nominated(request.fields, response.fields, rules)
    if nominated is None:
        return Pass(Unstorable.VARY)
    lifetime = freshness_lifetime(
        status,
        response.fields,
        directives,
        rules,
        arrival,
        anonymous=is_anonymous(request.fields, rules),
    )
    if request.method != b"GET" and lifetime.source not in EXPLICIT:
        return Pass(Unstorable.METHOD)
    explicit = lifetime.source is not LifetimeSource.NONE or directives.public
    if not explicit and status not in CACHEABLE_BY_DEFAULT:
        return Pass(Unstorable.STATUS)
    if status >= 400 and lifetime.seconds <= 0:
        return Pass(Unstorable.ERROR)
    usable = lifetime.seconds > 0 or bool(directives.stale_while_revalidate)
    reusable_unasked = usable and not directives.no_cache
    if not reusable_unasked and not has_validator(response.fields):
        return Pass(Unstorable.USELESS)
    if rules.scope is Scope.PUBLIC:
        nominated = _without_credentials(nominated)
    seconds = refresh.jittered(lifetime.seconds, rules.jitter, chance)
    return Store(seconds, nominated, directives, rules)


def _represents_target(request: RequestHead, response: ResponseHead) -> bool:
    """Return whether an answer to a POST is what a GET of its target would bring.

    RFC 9110 section 9.3.3: its Content-Location says so, by naming the target itself.
    """
    if request.method != b"POST" or response.status != 200:
        return False
    named = response.fields.every(b"content-location")
    return len(named) == 1 and invalidation.resolved(named[0], request) == request.target


def forbidden(
    status: int, fields: Fields, directives: ResponseDirectives, rules: CacheRules
) -> Unstorable | None:
    """Return what in the response itself forbids keeping it; None when nothing does.

    Also asked after a 304 has freshened a stored response, whose directives may have changed.
    A qualified private or no-cache forbids nothing: the fields it names are left out, here
    Set-Cookie too. A cookie on a route of the rules isn't shared, whatever the RFC allows.
    """
    if directives.must_understand:
        if status not in UNDERSTOOD_STATUSES:
            return Unstorable.NOT_UNDERSTOOD
        # must-understand, understood, is why the no-store beside it is ignored.
    elif directives.no_store and Unstorable.NO_STORE not in rules.overrides:
        return Unstorable.NO_STORE
    if rules.content_types and 200 <= status < 300:
        kind = fields.get(b"content-type")
        if kind is None or not listed(kind, rules.content_types):
            return Unstorable.CONTENT_TYPE
    if directives.private and Unstorable.PRIVATE not in rules.overrides:
        return Unstorable.PRIVATE
    if (
        rules.scope is not Scope.SHARED
        and b"set-cookie" in fields
        and b"set-cookie" not in directives.withheld_fields
        and Unstorable.SET_COOKIE not in rules.overrides
    ):
        return Unstorable.SET_COOKIE
    return None


def _authorised(request: RequestHead, directives: ResponseDirectives, rules: CacheRules) -> bool:
    """Return whether section 3.5 lets us keep the response to this request.

    Where the key is partitioned by verified identity, the partition is the authorisation:
    whoever finds the response has proved to be whom it was made for. On a public route the
    header never reached the origin.
    """
    if rules.scope is not Scope.SHARED:
        return True
    if b"authorization" not in request.fields:
        return True
    return directives.public or directives.must_revalidate or directives.s_maxage is not None


_CREDENTIALS: Final = frozenset({b"authorization", b"cookie"})


def _without_credentials(nominated: tuple[NominatedField, ...]) -> tuple[NominatedField, ...]:
    """Return what a public response still depends on.

    No request for it carries credentials to the origin, so that every client's fulfils a
    ``Vary: Cookie`` alike.
    """
    return tuple(item for item in nominated if item[0] not in _CREDENTIALS)


def has_validator(fields: Fields) -> bool:
    """Return whether a later 304 could say that this response still holds."""
    return b"etag" in fields or b"last-modified" in fields


_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def stored_fields(fields: Fields) -> Fields:
    """Return what of a response's fields is kept (section 3.1).

    Left out: what Connection names, what holds for one connection or one proxy, and what a
    qualified no-cache or private names.
    """
    return _kept(fields, parse_response(fields), None)


def _kept(fields: Fields, directives: ResponseDirectives, rules: CacheRules | None) -> Fields:
    excluded = set(_HOP_BY_HOP)
    if rules is not None and Unstorable.SET_COOKIE in rules.overrides:
        # Who caused the fetch has its cookie; it is nobody else's.
        excluded.add(b"set-cookie")
    excluded.update(name.lower() for name in elements(fields.get(b"connection") or b""))
    excluded.update(directives.withheld_fields)
    return fields.without(excluded)


def dated(fields: Fields, arrival: Arrival) -> Fields:
    """Return *fields* with a Date, the time of arrival when theirs is missing or no date.

    RFC 9110 section 6.6.1: who stores or forwards a response without one adds it.
    """
    date = fields.get(b"date")
    if date is not None and dates.parse(date) is not None:
        return fields
    return fields.without({b"date"}).plus(line(b"Date", dates.format(arrival.date_value)))


def keep(
    decision: Store,
    response: ResponseHead,
    body: bytes,
    arrival: Arrival,
    filed: Filed = NOWHERE,
) -> StoredResponse:
    """Return what is *filed*, of a response whose *body* arrived whole."""
    fields = dated(_kept(response.fields, decision.directives, decision.rules), arrival)
    return StoredResponse(
        status=response.status,
        reason=response.reason,
        fields=fields,
        body=body,
        arrival=arrival,
        lifetime=decision.lifetime,
        directives=decision.directives,
        nominated=decision.nominated,
        groups=groups.carried(response.fields),
        rules=decision.rules,
        filed=filed,
    )


def judged_anew(stored: StoredResponse, rules: CacheRules) -> StoredResponse | None:
    """Return *stored* as *rules* would have it; None when they forbid it.

    For rules that have changed since it was stored. Chance has no part in it.
    """
    directives = stored.directives
    if not rules.enabled or forbidden(stored.status, stored.fields, directives, rules) is not None:
        return None
    if stored.rules == rules:
        return replace(stored, rules=rules)
    lifetime = freshness_lifetime(stored.status, stored.fields, directives, rules, stored.arrival)
    return replace(stored, lifetime=lifetime.seconds, rules=rules)


def filed(variants: tuple[StoredResponse, ...], new: StoredResponse) -> tuple[StoredResponse, ...]:
    """Return *variants* with *new* in front, in place of those it was selected like."""
    others = tuple(other for other in variants if other.nominated != new.nominated)
    return (new, *others)[:VARIANTS_UNDER_ONE_KEY]
