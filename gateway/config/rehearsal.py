"""Asking the rules what they would do, without a client and without an origin.

The decisions are those of the data plane, made by the same functions on the same snapshot;
only who asks is assumed instead of proven, and what the origin answers is given.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.counters import Counters
from gateway.edge import asking
from gateway.edge.asked import Asking, Cacheable, Settled
from gateway.edge.site import Site
from gateway.edge.snapshot import Snapshot
from gateway.errors import MalformedRequest
from gateway.policy import directives as directives_of
from gateway.policy import downstream, key, storing, vary
from gateway.policy.age import Arrival, arrived
from gateway.policy.rules import Scope
from gateway.policy.stored import StoredResponse
from gateway.routing import templates
from gateway.routing.identity import ANONYMOUS, Identity, IdentityVerifier
from gateway.routing.route import Route
from gateway.wire import framing
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead
from gateway.wire.target import origin_form

ANYBODY = b"127.0.0.1"
"""The address of clients that are made up."""


class _Assumed(IdentityVerifier):
    """Takes one identity for proven, whatever a request carries."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(None, None)
        self._identity = identity

    def identify(self, cookie: bytes | None, now: float) -> Identity:  # noqa: ARG002
        """Return the identity that is assumed."""
        return self._identity


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would become of one request and the answer to it."""

    head: RequestHead
    identity: Identity
    asked: Asking
    decision: storing.Decision
    """Whether the answer would be kept, if it were asked for."""
    stored: StoredResponse | None
    """What would be kept; None when nothing would."""
    response: ResponseHead
    """The answer, as the client would get it."""
    arrival: Arrival
    has_body: bool = False
    """Whether the request carries a body."""

    @property
    def route(self) -> Route:
        """The route that takes the request."""
        return self.asked.route

    @property
    def key(self) -> bytes | None:
        """The cache key; None where the cache isn't asked."""
        return self.asked.key if isinstance(self.asked, Cacheable) else None

    def shares_with(self, other: "Rehearsed") -> bool:
        """Return whether *other* would be answered with what this one stores."""
        return (
            self.stored is not None
            and self.key == other.key
            and vary.matches(self.stored, other.head.fields)
        )


def request(
    method: str, target: str, fields: Iterable[tuple[str, str]] = (), host: str = "localhost"
) -> RequestHead:
    """Return the head of a request; a Host among *fields* beats *host*.

    Raises:
        MalformedRequest: *target* is no path, or a field no field.

    """
    lines = []
    for name, value in fields:
        if name.lower() == "host":
            host = value
        else:
            lines.append((name.encode("utf-8"), value.encode("utf-8")))
    if not target.startswith("/"):
        raise MalformedRequest(f'"{target}" is no path: it begins with no slash')
    return RequestHead(
        method.encode("ascii"),
        origin_form(target.encode("utf-8")),
        1,
        host.lower().encode("utf-8"),
        Fields.of(*lines),
    )


def identity(user: str | None, org: str | None) -> Identity:
    """Return somebody who has proven to be *user* of *org*; None proves nothing."""
    if user is None and org is None:
        return ANONYMOUS
    return Identity(
        user=None if user is None else user.encode("utf-8"),
        org=None if org is None else org.encode("utf-8"),
        expires=float("inf"),
    )


def rehearse(
    snapshot: Snapshot,
    head: RequestHead,
    who: Identity | None,
    status: int = 200,
    said: Iterable[tuple[str, str]] = (),
    *,
    now: float | None = None,
) -> Rehearsed:
    """Return what *snapshot* makes of *head* and of an answer of *status* with the fields *said*.

    Without *who*, identity is proven by what the request carries. Raises RequestRefused for
    what would be refused.
    """
    if who is not None:
        snapshot = replace(snapshot, identity=_Assumed(who))
    instant = time.time() if now is None else now
    site = Site(snapshot, Counters(), None, clock=lambda: instant)
    body = framing.of_request(head.fields, head.minor)
    asked = asking.ask(site, head, ANYBODY, body)
    response = answer(said, status)
    rules = asked.route.cache
    arrival = arrived(response.fields, instant, instant)
    decision = storing.decide(head, response, rules, arrival)
    known = snapshot.identity.identify(head.fields.get(b"cookie"), instant)
    stored = None
    if isinstance(asked, Cacheable) and isinstance(decision, storing.Store):
        stored = storing.keep(decision, response, b"", arrival)
        groups = templates.groups(
            asked.route.groups, known, asked.route.name, head.host, head.target.path
        )
        stored = replace(stored, groups=(*stored.groups, *groups))
    if isinstance(asked, Settled):
        response = ResponseHead(asked.response.status, b"", asked.response.fields)
    else:
        lifetime = None if stored is None else stored.lifetime
        told = downstream.fields_for_client(response.fields, rules, lifetime, status)
        response = ResponseHead(status, b"", asked.route.response_fields.apply(told))
    has_body = body != framing.EMPTY
    return Rehearsed(head, known, asked, decision, stored, response, arrival, has_body)


IN_VAIN_HINT = "give the route a ttl, or let the origin say max-age in CDN-Cache-Control"


def answer(fields: Iterable[tuple[str, str]], status: int = 200) -> ResponseHead:
    """Return the head of an origin's answer."""
    pairs = [(name.encode("utf-8"), value.encode("utf-8")) for name, value in fields]
    return ResponseHead(status, b"", Fields.of(*pairs))


def in_vain(rehearsed: Rehearsed, response: ResponseHead) -> str | None:
    """Return what the origin says in *response* without effect; None when all has one."""
    rules = rehearsed.route.cache
    directives = directives_of.parse_response(response.fields)
    if (
        rules.enabled
        and (rules.lifetime is None or rules.scope is Scope.SHARED)
        and directives.s_maxage is not None
        and (directives.stale_while_revalidate or rules.stale_while_revalidate)
    ):
        return (
            "stale-while-revalidate does nothing beside s-maxage, which wants stale answers "
            "validated (RFC 9111 section 5.2.2.10)"
        )
    return None


def key_parts(rehearsed: Rehearsed) -> dict[str, str]:
    """Return what the cache key is made of, in words; empty where the cache isn't asked."""
    if not isinstance(rehearsed.asked, Cacheable):
        return {}
    head, rules = rehearsed.head, rehearsed.route.cache
    parts = {
        "scope": rules.scope.value,
        "host": head.host.decode("latin-1"),
        "target": key.normal_target(head.target, rules.query).decode("latin-1"),
    }
    who = rehearsed.identity
    if rules.scope.value in ("org", "member") and who.org is not None:
        parts["org"] = who.org.decode("utf-8", "replace")
    if rules.scope.value in ("user", "member") and who.user is not None:
        parts["user"] = "(the session)"
    for name in rules.key_headers:
        value = head.fields.get(name)
        parts[f"header {name.decode()}"] = "(absent)" if value is None else value.decode("latin-1")
    cookies = key.chosen_cookies(head.fields.get(b"cookie"), rules.key_cookies)
    for name in rules.key_cookies:
        parts[f"cookie {name.decode()}"] = "(present)" if name in cookies else "(absent)"
    if rehearsed.route.divides_key:
        parts["route"] = rehearsed.route.name
    return parts


def ignored_parameters(rehearsed: Rehearsed) -> list[str]:
    """Return the parameters of the query that are left out of the key, in their order."""
    target = rehearsed.head.target
    kept = key.normal_target(target, rehearsed.route.cache.query).partition(b"?")[2].split(b"&")
    asked = (target.query or b"").split(b"&")
    return [each.decode("latin-1") for each in asked if each and each not in kept]
