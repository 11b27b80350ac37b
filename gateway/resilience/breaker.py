"""A circuit breaker: what fails again and again is left alone, and tried now and then.

Closed, everything may be asked. After so many failures in a row it opens: nothing is asked
but one trial at a time, after pauses that grow. A success closes it. Instants are monotonic
seconds; chance lies in 0 to 1.
"""

from gateway.resilience.backoff import Backoff


class Breaker:
    """The state of one breaker."""

    __slots__ = ("_after", "_failures", "_opened", "_pause", "closed", "until")

    def __init__(self, after: int = 5, pause: Backoff | None = None) -> None:
        """Open after *after* failures in a row, and pause between trials as *pause* says."""
        self._after = after
        self._pause = pause or Backoff(first=0.25, longest=10.0)
        self._failures = 0
        self._opened = 0
        self.closed = True
        self.until = 0.0
        """When the next trial is due, while it is open."""

    def failed(self, now: float, chance: float) -> bool:
        """Note a failure; return whether it has opened the breaker just now."""
        self._failures += 1
        if self.closed and self._failures < self._after:
            return False
        opened = self.closed
        self.closed = False
        self._opened += 1
        # From the first time on there is a pause: Backoff has none for a first failure.
        self.until = now + self._pause.pause(self._opened + 1, chance)
        return opened

    def succeeded(self) -> bool:
        """Note a success; return whether it has closed the breaker just now."""
        closed = not self.closed
        self._failures = self._opened = 0
        self.closed = True
        self.until = 0.0
        return closed

    def due(self, now: float) -> bool:
        """Return whether a trial is due at *now*."""
        return not self.closed and now >= self.until
