"""May we keep it (RFC 9111 section 3)?

Asked when a response head has arrived, and answered with what to keep it under or with the
reason why not. Whether the body arrives whole is for the edge to see.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self, TypeAlias

from gateway.policy import vary
from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives, parse_request, parse_response
from gateway.policy.freshness import CACHEABLE_BY_DEFAULT, LifetimeSource, freshness_lifetime
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.stored import NominatedField, StoredResponse
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
    """Only what a GET brought is kept."""
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
    USELESS = "useless", "RFC 9111 section 3"
    """Never fresh, and without a validator it couldn't be made so."""


@dataclass(slots=True)
class Store:
    """Keep it."""

    lifetime: float
    """Freshness lifetime in seconds; 0 when it must be validated before its first use."""
    nominated: tuple[NominatedField, ...]
    directives: ResponseDirectives


@dataclass(slots=True)
class Pass:
    """Send it on and keep nothing."""

    why: Unstorable


Decision: TypeAlias = Store | Pass


def decide(
    request: RequestHead, response: ResponseHead, rules: CacheRules, arrival: Arrival
) -> Decision:
    """Return whether *response* may be kept.

    *request* is the one that the origin saw: for a public route, less the credentials.
    """
    if not rules.enabled:
        return Pass(Unstorable.OFF)
    if request.method != b"GET":
        return Pass(Unstorable.METHOD)
    status = response.status
    if status < 200:
        return Pass(Unstorable.INTERIM)
    if status == 304:
        return Pass(Unstorable.NOT_MODIFIED)
    if status == 206:
        return Pass(Unstorable.PARTIAL)
    if parse_request(request.fields).no_store:
        return Pass(Unstorable.REQUEST_NO_STORE)
    directives = parse_response(response.fields)
    why = forbidden(status, response.fields, directives, rules)
    if why is None and not _authorised(request, directives, rules):
        why = Unstorable.AUTHORIZATION
    if why is not None:
        return Pass(why)
    nominated = vary.nominated(request.fields, response.fields)
    if nominated is None:
        return Pass(Unstorable.VARY)
    lifetime = freshness_lifetime(status, response.fields, directives, rules, arrival)
    explicit = lifetime.source is not LifetimeSource.NONE or directives.public
    if not explicit and status not in CACHEABLE_BY_DEFAULT:
        return Pass(Unstorable.STATUS)
    if status >= 400 and lifetime.seconds <= 0:
        return Pass(Unstorable.ERROR)
    reusable_unasked = lifetime.seconds > 0 and not directives.no_cache
    if not reusable_unasked and not has_validator(response.fields):
        return Pass(Unstorable.USELESS)
    if rules.scope is Scope.PUBLIC:
        nominated = _without_credentials(nominated)
    return Store(lifetime.seconds, nominated, directives)


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
    elif directives.no_store:
        return Unstorable.NO_STORE
    if directives.private:
        return Unstorable.PRIVATE
    if (
        rules.scope is not Scope.SHARED
        and b"set-cookie" in fields
        and b"set-cookie" not in directives.withheld_fields
    ):
        return Unstorable.SET_COOKIE
    return None


def _authorised(request: RequestHead, directives: ResponseDirectives, rules: CacheRules) -> bool:
    """Return whether section 3.5 lets us keep the response to this request.

    Where the key is partitioned by verified identity, the partition is the authorisation:
    whoever finds the response has proved to be whom it was made for.
    """
    if rules.scope is Scope.USER or rules.scope is Scope.ORG:
        return True
    if b"authorization" not in request.fields:
        return True
    return directives.public or directives.must_revalidate or directives.s_maxage is not None


_CREDENTIALS: Final = frozenset({b"authorization", b"cookie"})


def _without_credentials(nominated: tuple[NominatedField, ...]) -> tuple[NominatedField, ...]:
    """Return what a public response still depends on.

    No request for it carries credentials to the origin, so a ``Vary: Cookie`` is fulfilled
    by every client. A request that did carry them, in spite of that, stays nominated.
    """
    return tuple(
        (name, value) for name, value in nominated if name not in _CREDENTIALS or value is not None
    )


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
    return _kept(fields, parse_response(fields))


def _kept(fields: Fields, directives: ResponseDirectives) -> Fields:
    excluded = set(_HOP_BY_HOP)
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


def keep(decision: Store, response: ResponseHead, body: bytes, arrival: Arrival) -> StoredResponse:
    """Return what is filed, of a response whose *body* arrived whole."""
    fields = dated(_kept(response.fields, decision.directives), arrival)
    return StoredResponse(
        status=response.status,
        reason=response.reason,
        fields=fields,
        body=body,
        arrival=arrival,
        lifetime=decision.lifetime,
        directives=decision.directives,
        nominated=decision.nominated,
    )


def filed(variants: tuple[StoredResponse, ...], new: StoredResponse) -> tuple[StoredResponse, ...]:
    """Return *variants* with *new* in front, in place of those it was selected like."""
    others = tuple(other for other in variants if other.nominated != new.nominated)
    return (new, *others)[:VARIANTS_UNDER_ONE_KEY]
