"""What a request asks for, once its route, its identity and its key are known."""

from dataclasses import dataclass

from gateway.policy.reuse import Forwarded, Verdict
from gateway.routing.answers import Respond
from gateway.routing.route import Route
from gateway.storage.interface import Shelf


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


@dataclass(slots=True)
class Bypassing:
    """A request that goes to the origin without asking the cache."""

    route: Route
    why: Forwarded


@dataclass(slots=True)
class Settled:
    """A request that the gateway answers itself."""

    route: Route
    response: Respond
    detail: str
    """What it is, in a word, for Cache-Status."""


Asking = Cacheable | Bypassing | Settled
