"""How long a response stays fresh (RFC 9111 section 4.2; RFC 9213 section 2).

The origin's explicit word, or the operator's in its place. Where the rules let us, a guess
for what says only when it last changed; else a response that nobody gave a lifetime has
none. Durations are seconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives
from gateway.policy.rules import CacheRules, Scope
from gateway.wire import dates
from gateway.wire.fields import Fields

CACHEABLE_BY_DEFAULT: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that are kept without explicit freshness (RFC 9110 section 15.1); 206 apart."""


class LifetimeSource(StrEnum):
    """Who decided a freshness lifetime."""

    TARGETED = "cdn-cache-control"
    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "expires"
    ROUTE = "route"
    """The route's lifetime, for a successful response."""
    ROUTE_STATUS = "route-status"
    """The route's lifetime for this very status, or its silence about an error."""
    HEURISTIC = "heuristic"
    """A guess by Last-Modified, where the rules ask for one."""
    NONE = "none"
    """Nobody: the response is stale from the start."""


EXPLICIT: Final = frozenset(
    {
        LifetimeSource.TARGETED,
        LifetimeSource.S_MAXAGE,
        LifetimeSource.MAX_AGE,
        LifetimeSource.EXPIRES,
    }
)
"""The origin's own words."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long, and by whose word."""

    seconds: float
    """0 or more."""
    source: LifetimeSource


def freshness_lifetime(
    status: int,
    fields: Fields,
    directives: ResponseDirectives,
    rules: CacheRules,
    arrival: Arrival,
    *,
    anonymous: bool = True,
) -> Lifetime:
    """Return the freshness lifetime of a response.

    *anonymous* tells that the request for it said nothing of who asks; nothing is guessed
    about an answer that may have been made for one client.

    A route's lifetime holds for successes that are cacheable by default, however the origin
    spoke. Errors never inherit it: where a route sets one, an error lives as long as the
    route says for its status, and else not at all. A redirect that is cacheable only by the
    origin's explicit word, such as one to a login page, obeys that word.
    """
    if rules.scope is not Scope.SHARED:
        chosen = rules.status_lifetimes.get(status)
        if chosen is not None:
            return Lifetime(chosen, LifetimeSource.ROUTE_STATUS)
        if rules.lifetime is not None:
            if status >= 400:
                return Lifetime(0.0, LifetimeSource.ROUTE_STATUS)
            if status in CACHEABLE_BY_DEFAULT:
                return Lifetime(rules.lifetime, LifetimeSource.ROUTE)
    lifetime = _explicit(fields, directives, arrival)
    if lifetime.source is LifetimeSource.NONE and rules.heuristic is not None and anonymous:
        return _guessed(status, fields, directives, rules, arrival)
    return lifetime


def is_anonymous(request_fields: Fields, rules: CacheRules) -> bool:
    """Return whether nothing tells the origin who asks, or the key keeps those who ask apart."""
    if rules.scope is not Scope.SHARED:
        return True
    index = request_fields.index()
    return b"cookie" not in index and b"authorization" not in index


def _guessed(
    status: int,
    fields: Fields,
    directives: ResponseDirectives,
    rules: CacheRules,
    arrival: Arrival,
) -> Lifetime:
    """Return a share of the time since the last change (section 4.2.2).

    Only for what is cacheable by default or said to be public. On a route of the rules,
    errors live by `status_lifetimes` alone. Who sets a cookie speaks to one client.
    """
    heuristic = rules.heuristic
    assert heuristic is not None
    modified = fields.get(b"last-modified")
    instant = None if modified is None else dates.parse(modified, arrival.response_time)
    if (
        instant is None
        or (status not in CACHEABLE_BY_DEFAULT and not directives.public)
        or (status >= 400 and rules.scope is not Scope.SHARED)
        or b"set-cookie" in fields
    ):
        return Lifetime(0.0, LifetimeSource.NONE)
    guess = heuristic.fraction * max(0.0, arrival.date_value - instant)
    return Lifetime(min(heuristic.most, guess), LifetimeSource.HEURISTIC)


def _explicit(fields: Fields, directives: ResponseDirectives, arrival: Arrival) -> Lifetime:
    """Return what the origin said in so many words."""
    targeted = directives.targeted
    if directives.s_maxage is not None:
        source = LifetimeSource.TARGETED if targeted else LifetimeSource.S_MAXAGE
        return Lifetime(float(directives.s_maxage), source)
    if directives.max_age is not None:
        source = LifetimeSource.TARGETED if targeted else LifetimeSource.MAX_AGE
        return Lifetime(float(directives.max_age), source)
    if not targeted and b"expires" in fields:
        return Lifetime(_until_expiry(fields, arrival), LifetimeSource.EXPIRES)
    return Lifetime(0.0, LifetimeSource.NONE)


def _until_expiry(fields: Fields, arrival: Arrival) -> float:
    """Return the seconds from Date to Expires.

    What is no date, above all ``0``, is in the past (section 5.3). Of several lines the
    earliest counts (section 4.2.1 allows the first, or none at all).
    """
    lifetimes: list[float] = []
    for value in fields.every(b"expires"):
        expiry = dates.parse(value, arrival.response_time)
        lifetimes.append(0.0 if expiry is None else max(0.0, expiry - arrival.date_value))
    return min(lifetimes)
