"""What one route says about caching, in the specification's words.

Built from `rules.yaml` by `config/build.py`; nothing here knows YAML. Durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Scope(StrEnum):
    """Who may share a stored response: the partition of the cache key."""

    PUBLIC = "public"
    """Everybody; identity is dropped from the key and from the request to the origin."""
    ORG = "org"
    """Those whose verified organisation is the same."""
    USER = "user"
    """One verified user."""
    MEMBER = "member"
    """One verified user within one verified organisation: no route asks for it, but a batch
    does whose members are partly one's and partly the other's."""
    SHARED = "shared"
    """Everybody, by the origin's word alone (RFC 9111 as a shared cache): a file without
    routes. Credentials are passed on, and the rule about Authorization holds."""


@dataclass(frozen=True, slots=True)
class QueryRules:
    """Which parts of a query name a different response."""

    sort: bool = False
    """Order by name, so that ``?a&b`` and ``?b&a`` are one; values of a name keep their order."""
    ignore: tuple[str, ...] = ()
    """Globs of parameter names left out of the key."""
    only: tuple[str, ...] | None = None
    """Globs of the parameter names kept; None keeps all that aren't ignored."""


@dataclass(frozen=True, slots=True)
class Heuristic:
    """How long a response stays fresh that says only when it last changed (4.2.2)."""

    fraction: float = 0.1
    """The share of the time since its Last-Modified."""
    most: float = 3600.0
    """Seconds that no guess exceeds: nobody was told, so nobody will purge it."""


_NO_STATUSES: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What one route says about caching; None leaves the origin's word alone."""

    enabled: bool = True
    """False for ``cache: off``: neither looked up nor stored."""
    scope: Scope = Scope.USER
    lifetime: float | None = None
    """Overrides the origin's freshness lifetime of a successful response."""
    browser_lifetime: float | None = None
    """The max-age that clients are told; None derives it from the scope."""
    immutable: bool = False
    """Say ``immutable`` (RFC 8246) to clients."""
    status_lifetimes: Mapping[int, float] = field(default_factory=lambda: _NO_STATUSES)
    """Freshness lifetimes of chosen error statuses; errors take theirs from here alone."""
    query: QueryRules = field(default_factory=QueryRules)
    key_headers: tuple[bytes, ...] = ()
    """Lower-case names of request fields that belong to the key."""
    key_cookies: tuple[bytes, ...] = ()
    """Names of cookies that belong to the key."""
    stale_while_revalidate: float | None = None
    """How long past its lifetime a success is sent while it is refreshed (RFC 5861 section 3)."""
    stale_if_error_for: float | None = None
    """How long past its lifetime it is sent in place of an error (RFC 5861 section 4)."""
    stale_if_error_after: float | None = None
    """Seconds of an origin's silence that count as an error where a stale response is at hand;
    None: as long as the origin's own time limits."""
    stale_if_gone: float | None = None
    """How long past its lifetime it is sent when its origin answers 404 or 410."""
    jitter: float = 0.0
    """The share of a lifetime, from 0 to 1, by which chance may shorten it."""
    heuristic: Heuristic | None = None
    """None guesses nothing: who is silent about freshness gets none."""
    early_refresh: float = 0.0
    """How eagerly what is asked for often is refreshed before it is stale: the beta of XFetch,
    where 1 is usual and 0 is never."""
    vary_exact: frozenset[bytes] = frozenset()
    """Lower-case names of fields that count byte for byte where a response varies on them."""
    vary_bypass: frozenset[bytes] = frozenset()
    """...and of those that keep a response which varies on them from being stored."""
    overrides: frozenset[str] = frozenset()
    """Of ``no-store``, ``private`` and ``set-cookie``: words of the origin that don't keep a
    response from being stored here. A Set-Cookie is never stored with it."""
    content_types: tuple[str, ...] = ()
    """The only media types of successes that are kept, with ``*`` for any characters; none keeps
    every type."""
    whole_for_range: bool = False
    """Fetch all of what a range is asked of, so that the next range is a hit; else a miss
    gets from the origin just the range."""


OBEY_ORIGIN = CacheRules(scope=Scope.SHARED, stale_if_error_for=3600.0, heuristic=Heuristic())
"""The rules of a file without routes: RFC 9111, as a shared cache.

It does what the RFC leaves to a cache and expects of a good one: a guess at the freshness of
what says only when it last changed, and a stale response where the origin can't be reached
(sections 4.2.2 and 4.2.4), both bounded and neither against the origin's word.
"""
