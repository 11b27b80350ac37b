"""A route: which requests it takes, and what holds for them."""

from dataclasses import dataclass

from gateway.policy.rules import CacheRules


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of ``routes`` with the defaults merged in."""

    name: str
    """Unique; the metric label and the log field."""
    origin: str
    """The name of the origin that answers."""
    cache: CacheRules
    paths: tuple[str, ...] = ()
    """Path globs, any of which matches; none matches every path."""
    methods: frozenset[str] = frozenset()
    """Methods it takes; none takes every method."""
    protocol: str | None = None
    """``trpc`` where requests may come in batches; None for plain requests."""
    line: int = 0
    """Where it stands in its file; 0 for the route that is implied."""
