"""Which endpoint of an origin gets a request: pure choices among those that may.

Each way gets candidates with a weight and a load, what tells requests apart, and chance, and
returns the place of the one that is chosen.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import log
from typing import Protocol, TypeAlias

from gateway.origin.settings import Balance


class Candidate(Protocol):
    """An endpoint that may get a request."""

    name: bytes
    """Its address; what `hash` goes by."""
    weight: float
    """More than 0."""
    turn: float
    """Left to `round_robin`; 0 at first."""

    @property
    def load(self) -> int:
        """Requests that it has now."""


Choose: TypeAlias = Callable[[Sequence[Candidate], bytes, Callable[[], float]], int]
"""(candidates, what the request asks for, chance in 0 to 1) to the place of the chosen."""


def round_robin(candidates: Sequence[Candidate], _: bytes, __: Callable[[], float]) -> int:
    """Return each in turn, as often as its weight says and spread evenly."""
    total = 0.0
    best = 0
    for place, candidate in enumerate(candidates):
        candidate.turn += candidate.weight
        total += candidate.weight
        if candidate.turn > candidates[best].turn:
            best = place
    candidates[best].turn -= total
    return best


def least_requests(
    candidates: Sequence[Candidate], asked: bytes, chance: Callable[[], float]
) -> int:
    """Return the one with the fewest requests for its weight; among equals each in turn."""
    loads = [(candidate.load + 1) / candidate.weight for candidate in candidates]
    least = min(loads)
    places = [place for place, load in enumerate(loads) if load <= least * 1.000001]
    if len(places) == 1:
        return places[0]
    return places[round_robin([candidates[place] for place in places], asked, chance)]


def p2c(candidates: Sequence[Candidate], _: bytes, chance: Callable[[], float]) -> int:
    """Return the less loaded of two that chance picks: near the best, without herding."""
    count = len(candidates)
    first = min(int(chance() * count), count - 1)
    if count == 1:
        return first
    second = (first + 1 + min(int(chance() * (count - 1)), count - 2)) % count
    one, other = candidates[first], candidates[second]
    lighter = (one.load + 1) / one.weight <= (other.load + 1) / other.weight
    return first if lighter else second


def by_hash(candidates: Sequence[Candidate], asked: bytes, _: Callable[[], float]) -> int:
    """Return the same one for the same request, as long as it is there (rendezvous hashing).

    When one goes, only its requests move; weights count by the logarithmic method.
    """
    best, highest = 0, float("-inf")
    for place, candidate in enumerate(candidates):
        digest = blake2b(asked, digest_size=8, key=candidate.name[:64]).digest()
        drawn = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        score = -candidate.weight / log(drawn)
        if score > highest:
            best, highest = place, score
    return best


WAYS: dict[Balance, Choose] = {
    Balance.ROUND_ROBIN: round_robin,
    Balance.LEAST_REQUESTS: least_requests,
    Balance.P2C: p2c,
    Balance.HASH: by_hash,
}
