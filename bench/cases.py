"""What is measured: the cases, as data.

Each says what is asked for and how an answer must look, so that a server that answers
something else is found out before and after it is measured.
"""

from dataclasses import dataclass
from enum import StrEnum

from bench.origin import ETAG

ZIPF_OBJECTS = 10_000
"""As in bench/lua/zipf.lua and sweep.lua."""


class Path(StrEnum):
    """Where the answers come from."""

    HIT = "hit"
    """Out of the cache: the origin hears nothing."""
    PASS = "pass"
    """From the origin, each time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load."""

    name: str
    """The word for ``--case``."""
    title: str
    target: str
    """What is asked for; of several objects, the one that is verified."""
    body_bytes: int
    path: Path = Path.HIT
    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()
    """Request fields besides Host."""
    script: str | None = None
    """The file in bench/lua that makes the requests; None repeats one request."""
    sweep: str | None = None
    """The file in bench/lua that asks for everything once beforehand; None needs no such."""


CASES = (
    Case("same", "1 KB hit, identical heads", "/1k", 1024),
    Case("unique", "1 KB hit, browser heads, each cookie unique", "/1k", 1024, script="unique.lua"),
    Case("10k", "10 KB hit", "/10k", 10 * 1024),
    Case("100k", "100 KB hit", "/100k", 100 * 1024),
    Case(
        "conditional",
        "conditional hit, answered 304",
        "/1k",
        0,
        status=304,
        fields=(("If-None-Match", ETAG),),
    ),
    Case("pass", "1 KB passed through, origin says no-store", "/pass", 1024, path=Path.PASS),
    Case(
        "zipf",
        "10,000 objects of 1 KB, Zipf 0.9",
        "/zipf/1",
        1024,
        script="zipf.lua",
        sweep="sweep.lua",
    ),
)


@dataclass(frozen=True, slots=True)
class Aim:
    """What we want to reach in one case."""

    case: str
    ratio: float
    """The gateway's requests a second divided by the peer's, at least."""
    peer: str | None = None
    """None for the best of all peers."""


AIMS = (Aim("same", 1.3), Aim("unique", 1.0), Aim("pass", 0.7, peer="nginx"))
