"""What the processes of a crowd tell one another, as JSON lines."""

import msgspec

from loadtest.distribution import Distribution

SLOW_MS = 500.0
"""Answers that took longer are counted by what was asked."""


class Orders(msgspec.Struct, frozen=True):
    """What one process is to do."""

    host: str
    port: int
    sources: tuple[str, ...]
    """Addresses to connect from, each good for `a_source` connections."""
    a_source: int
    users: int
    """Connections to hold."""
    live: int
    """How many of them listen to events instead of asking."""
    ramp: float
    """Seconds in which they connect."""
    settle: float
    """Seconds between the end of the ramp and the measurement, once all are there."""
    patience: float
    """Seconds after the ramp until it begins without those who aren't connected."""
    hold: float
    """Seconds that are measured."""
    think: float
    """The mean time between an answer and the next question; 0 asks by `rate` instead."""
    rate: float
    """Questions a second of this process, whatever the answers do."""
    people: tuple[str, ...]
    """Cookies, one for each person."""
    weights: tuple[float, ...]
    questions: tuple[tuple[float, str], ...]
    """Weights and targets."""


class Second(msgspec.Struct):
    """What happened in one second of one process."""

    connected: int = 0
    listening: int = 0
    """Of the connected, streams of events that have begun."""
    measured: bool = False
    """Whether everybody is there and the measurement runs."""
    requests: int = 0
    cached: int = 0
    behind: int = 0
    """Questions that should have been asked by now and weren't, for want of a free connection."""
    errors: dict[str, int] = {}
    slow: dict[str, int] = {}
    buckets: dict[int, int] = {}
    largest: float = 0.0
    total: float = 0.0


def add_up(seconds: list[Second]) -> Distribution:
    """Return the times of all of them, in milliseconds."""
    whole = Distribution()
    for second in seconds:
        whole.absorb(second.buckets, second.total, second.largest)
    return whole
