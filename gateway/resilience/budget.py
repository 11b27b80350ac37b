"""How many retries are allowed: a share of the requests, so that they can't multiply an outage.

Counts of two windows in turn approximate the last one: nothing is kept for each request.
Durations are seconds, instants any clock's that only goes forward.
"""

_WINDOW = 10.0


class RetryBudget:
    """Allows *share* of the requests of the last ten seconds to be tried again."""

    __slots__ = ("_before", "_began", "_now", "_spare", "share")

    def __init__(self, share: float, spare: int = 10) -> None:
        """*spare* retries are allowed in each window in any case: few requests have no share."""
        self.share = share
        self._spare = spare
        self._began = 0.0
        self._now = [0, 0]
        """Requests and retries of the present window."""
        self._before = (0, 0)

    def _turn(self, now: float) -> float:
        """Begin a new window if it is time; return what of the one before still counts."""
        passed = now - self._began
        if passed >= _WINDOW:
            self._before = (self._now[0], self._now[1]) if passed < 2 * _WINDOW else (0, 0)
            self._now = [0, 0]
            self._began = now
            passed = 0.0
        return 1.0 - passed / _WINDOW

    def requested(self, now: float) -> None:
        """Count a request at *now*."""
        self._turn(now)
        self._now[0] += 1

    def spend(self, now: float) -> bool:
        """Take one retry at *now*; False when there is none left."""
        left = self._turn(now)
        requests = self._now[0] + left * self._before[0]
        retries = self._now[1] + left * self._before[1]
        if retries >= self._spare + self.share * requests:
            return False
        self._now[1] += 1
        return True
