"""How often somebody may ask: the arithmetic of a token bucket, and how clients are told.

A bucket holds `burst` requests and gains `requests` in `per` seconds. It is kept as one number,
the moment at which it will be full again (the generic cell rate algorithm of ITU-T I.371), so
a bucket that nobody uses need not be kept at all.

Clients are told by the fields of draft-ietf-httpapi-ratelimit-headers-10, and by Retry-After
(RFC 9110 section 10.2.3).
"""

import math
from dataclasses import dataclass
from enum import Enum

from gateway.policy import structured
from gateway.wire.fields import FieldLine, line

_ROUNDING = 1e-6
"""Seconds by which a moment that was computed may miss the one that was meant."""


class By(Enum):
    """Whose requests are counted together."""

    ADDRESS = "address"
    USER = "user"
    ORG = "org"
    HEADER = "header"
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One bucket for each of those who ask."""

    name: str
    """What clients are told that it is called; buckets of different names are different."""
    requests: int
    per: float
    """Seconds in which `requests` are gained."""
    burst: int
    by: By = By.ADDRESS
    header: bytes = b""
    """The field whose value says who asks, in lower case; for `By.HEADER`."""
    shared: bool = True
    """Whether replicas count together, where they have a common tier."""

    @property
    def interval(self) -> float:
        """Seconds in which one request is gained."""
        return self.per / self.requests

    @property
    def depth(self) -> float:
        """Seconds in which an empty bucket gets full."""
        return self.burst * self.interval


def spend(full_at: float, now: float, limit: RateLimit) -> float | None:
    """Return when a bucket will be full again after one request at *now*.

    *full_at* is when it would have been without; None when there is nothing left to spend.
    Times are seconds on one clock.
    """
    after = (max(now, full_at)) + limit.interval
    return None if after - now > limit.depth + _ROUNDING else after


def wait(full_at: float, now: float, limit: RateLimit) -> float:
    """Return the seconds after *now* in which a bucket has one request to spend again."""
    return max(0.0, full_at + limit.interval - limit.depth - now)


def remaining(full_at: float, now: float, limit: RateLimit) -> int:
    """Return how many requests a bucket has left to spend at *now*."""
    used = max(0.0, full_at - now)
    return max(0, math.floor((limit.depth - used + _ROUNDING) / limit.interval))


def told(spent: list[tuple[RateLimit, float]], now: float) -> bytes:
    """Return the field lines that tell what is left of each limit, as they go over the wire.

    Beside each limit stands when its bucket will be full.
    """
    policies = b", ".join(
        b"%b;q=%d;w=%d" % (structured.string(limit.name), limit.burst, math.ceil(limit.depth))
        for limit, _ in spent
    )
    left = b", ".join(
        b"%b;r=%d;t=%d"
        % (
            structured.string(limit.name),
            remaining(full_at, now, limit),
            math.ceil(max(0.0, full_at - now) - _ROUNDING),
        )
        for limit, full_at in spent
    )
    return b"RateLimit-Policy: %b\r\nRateLimit: %b\r\n" % (policies, left)


def retry_after(seconds: float) -> FieldLine:
    """Return the field that says to come again in *seconds*."""
    return line(b"Retry-After", b"%d" % max(1, math.ceil(seconds - _ROUNDING)))
