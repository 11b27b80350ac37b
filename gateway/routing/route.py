"""A route: which requests it takes, and what holds for them."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.policy.images import Images
from gateway.policy.negotiation import Compression
from gateway.policy.rate import RateLimit
from gateway.policy.rules import CacheRules
from gateway.routing.access import AccessList
from gateway.routing.answers import Redirect, Respond, Rewrite
from gateway.routing.changes import UNCHANGED, FieldChanges
from gateway.routing.conditions import Conditions


@dataclass(frozen=True, slots=True)
class RouteTimeouts:
    """How long a route waits, in seconds; None leaves the origin's own limit."""

    first_byte: float | None = None
    between_bytes: float | None = None
    total: float | None = None


class Early(StrEnum):
    """Who gets a 103 (Early Hints)."""

    HTTP2 = "http2"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Hinting:
    """What a route says about telling early what its pages will need."""

    early: Early = Early.HTTP2
    most: int = 10
    """Files that are told of at the most."""


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
    when: Conditions | None = None
    """What else a request must have; None asks for nothing."""
    answer: Respond | Redirect | None = None
    """What is answered without the origin; None asks the origin."""
    rewrite: Rewrite | None = None
    request_fields: FieldChanges = UNCHANGED
    """Made to what the origin is sent."""
    response_fields: FieldChanges = UNCHANGED
    """Made to what the client is sent, stored or not."""
    access: tuple[AccessList, ...] = ()
    """All of them must admit the client; else 403."""
    purge: AccessList | None = None
    """Who may use the method PURGE; None leaves it to the origin."""
    body_limit: int | None = None
    """The most bytes of a request's body, beyond which it is 413; None is without limit."""
    timeouts: RouteTimeouts | None = None
    groups: tuple[str, ...] = ()
    """Templates of the groups of its responses, see `templates.py`."""
    compression: Compression | None = None
    """None leaves content codings to the origin and its clients."""
    images: Images | None = None
    """None leaves pictures as the origin sends them."""
    hints: Hinting | None = None
    """None learns nothing of what pages will need."""
    rate_limits: tuple[RateLimit, ...] = ()
    """How often somebody may ask; beyond any of them it is 429."""
    cdn: bool = False
    """Whether a CDN in front keeps what it delivers, too."""
    because: str = ""
    """Why it keeps what the RFC says not to; see `CacheRules.overrides`."""

    @property
    def divides_key(self) -> bool:
        """Whether another route may take the same target from a request with other fields.

        Then what each of them stores must be kept apart, by its name.
        """
        return self.when is not None and (self.when.by_fields or bool(self.when.query))

    @property
    def represents(self) -> bool:
        """Whether what is stored may be sent in another form."""
        return self.compression is not None or self.images is not None

    @property
    def guarded(self) -> bool:
        """Whether the gateway may answer by itself, without asking cache or origin."""
        return (
            self.answer is not None
            or bool(self.access)
            or self.body_limit is not None
            or self.purge is not None
            or self.rewrite is not None
            or bool(self.rate_limits)
        )

    @property
    def wins(self) -> bool:
        """Whether it comes before all that cache, wherever it stands."""
        return not self.cache.enabled and self.answer is None
