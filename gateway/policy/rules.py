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


OBEY_ORIGIN = CacheRules(scope=Scope.SHARED)
"""The rules of a file without routes: RFC 9111, as a shared cache."""
