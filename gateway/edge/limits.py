"""What clients may take of a worker: connections, requests at a time, and patience.

Each worker counts for itself. A client beyond a limit is told so at once and in few bytes;
those within it don't notice. What a single request may be like, its head above all, is
`refusal.py`'s question, and how often somebody may ask is `limiting.py`'s.
"""

from collections import defaultdict
from http import HTTPStatus

from gateway.edge.limiting import customer
from gateway.edge.snapshot import Limits
from gateway.errors import RequestRefused

_LINGERING_REFUSALS = 1024
"""Refused connections that may wait for their clients to read why; further ones are reset."""
NEVER = float("inf")
_NUISANCES = 200
"""What is put up with at once: browsers that leave a page cancel many requests together."""
_NUISANCES_A_SECOND = 20.0


class TooManyConnections(RequestRefused):
    """A connection that is one too many; nothing was read from it."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooManyRequests(RequestRefused):
    """A request that would be one too many at a time."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class Crowd:
    """The connections of one worker, counted by the client that they come from."""

    __slots__ = ("_by_client", "lingering", "open")

    def __init__(self) -> None:
        self.open = 0
        self.lingering = 0
        """Refused ones that are still open; they aren't counted in `open`."""
        self._by_client: defaultdict[bytes, int] = defaultdict(int)

    def enter(self, address: bytes, limits: Limits, *, trusted: bool = False) -> bytes | None:
        """Count a connection from *address*; return what to `leave` by, None when uncounted.

        A client is an IPv4 address or, for IPv6, the /64 that one customer has. A *trusted*
        proxy brings the connections of many clients, so its own aren't limited.

        Raises:
            TooManyConnections: 503 when all clients together have too many, 429 when this one
                has. Then it isn't counted.

        """
        if self.open >= limits.connections:
            raise TooManyConnections("too many connections are open; try again in a moment")
        client = None
        most = limits.connections_per_client
        if most is not None and not trusted:
            client = customer(address)
            if self._by_client[client] >= most:
                raise TooManyConnections(
                    f"at most {most} connections of one address at a time",
                    HTTPStatus.TOO_MANY_REQUESTS,
                )
            self._by_client[client] += 1
        self.open += 1
        return client

    def leave(self, client: bytes | None) -> None:
        """Count a connection no longer; *client* is what `enter` returned."""
        self.open -= 1
        if client is not None:
            left = self._by_client[client] - 1
            if left > 0:
                self._by_client[client] = left
            else:
                del self._by_client[client]

    @property
    def may_linger(self) -> bool:
        """Whether one more refused connection may stay until its client has read why."""
        return self.lingering < _LINGERING_REFUSALS


class Pace:
    """How fast a request's body arrives, not counting the time in which we don't read it."""

    __slots__ = ("_bytes", "_held_at", "_started")

    def __init__(self, now: float) -> None:
        self._started = now
        self._bytes = 0
        self._held_at: float | None = None

    def deadline(self, limits: Limits, now: float, taken: int = 0) -> float:
        """Count *taken* bytes more, and return until when others have to follow (monotonic).

        That is before the client has been silent for too long, and before it falls behind the
        slowest rate that is accepted; it gets the time of a head for a start.
        """
        self._bytes += taken
        silent = now + limits.send_timeout
        if not limits.min_rate:
            return silent
        return min(silent, self._started + limits.head_timeout + self._bytes / limits.min_rate)

    def hold(self, now: float) -> None:
        """Let time stand still: it is we who don't read."""
        if self._held_at is None:
            self._held_at = now

    def release(self, now: float) -> None:
        """Let time go on."""
        if self._held_at is not None:
            self._started += now - self._held_at
            self._held_at = None


class Nuisances:
    """Counts what a client does that costs us more than it, and forgets it with time."""

    __slots__ = ("_at", "_count")

    def __init__(self) -> None:
        self._count = 0.0
        self._at = 0.0

    def too_many(self, now: float) -> bool:
        """Count one more at *now* (monotonic seconds); return whether that is too many."""
        forgotten = (now - self._at) * _NUISANCES_A_SECOND
        self._count = max(0.0, self._count - forgotten) + 1
        self._at = now
        return self._count > _NUISANCES


def check_requests(running: int, limits: Limits) -> None:
    """Raise TooManyRequests when *running* exchanges leave no room for another."""
    if running >= limits.requests:
        raise TooManyRequests("too many requests are being answered; try again in a moment")


def takes(unsent: int, before: int, limits: Limits, waited: float) -> bool:
    """Return whether a client that had *before* bytes to take *waited* seconds ago goes on.

    *unsent* are left: it has to take the slowest rate that is accepted, or at least something.
    """
    return before - unsent >= max(1, int(limits.min_rate * waited))
