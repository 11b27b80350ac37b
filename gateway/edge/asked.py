"""What a request asks for, once its route, its identity and its key are known."""

from dataclasses import dataclass

from gateway.policy.reuse import Forwarded, Verdict
from gateway.routing.answers import Respond
from gateway.routing.route import Route
from gateway.storage.interface import Shelf


@dataclass(slots=True)
class Limited:
    """By whom requests with one head are counted."""

    route: Route
    subjects: tuple[bytes | None, ...]
    """For each limit of the route; None is the client's address."""


@dataclass(slots=True)
class Cacheable:
    """A request that the cache may answer."""

    route: Route
    key: bytes
    shelf: Shelf | None
    verdict: Verdict
    until: float
    """Epoch seconds up to which the verdict's grounds hold: the identity's expiry."""
    by_cookie: bool
    """Whether another Cookie might have led elsewhere."""
    quota: bytes = b""
    """Field lines for the client, about the limits that it is held to."""
    limited: Limited | None = None
    """Which limits that are; None for none."""


@dataclass(slots=True)
class Bypassing:
    """A request that goes to the origin without asking the cache."""

    route: Route
    why: Forwarded
    quota: bytes = b""
    """As in `Cacheable`."""


@dataclass(slots=True)
class Settled:
    """A request that the gateway answers itself."""

    route: Route
    response: Respond
    detail: str
    """What it is, in a word, for Cache-Status."""
    quota: bytes = b""
    """As in `Cacheable`."""


Asking = Cacheable | Bypassing | Settled
