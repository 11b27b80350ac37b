"""One worker's sense of time: a stamp that ages what was prepared, and a watch for deadlines.

Reading a clock or arming a timer for every request costs more than a hit does. So answers
are prepared for the current second and marked with its stamp, and whatever has a deadline
is looked at by one timer for all.
"""

import asyncio
from typing import Protocol


class Stamp:
    """A number that changes whenever prepared answers must be looked at again."""

    __slots__ = ("now", "value")

    def __init__(self, now: float) -> None:
        self.value: float = 0
        self.now = now
        """Epoch seconds at the last change."""

    def change(self, now: float) -> None:
        """Make everything that was prepared under the old stamp invalid."""
        self.value += 1
        self.now = now


class Watched(Protocol):
    """Something that may be too late."""

    deadline: float
    """Monotonic seconds; infinity while nothing is waited for."""
    watched_in: int
    """The watch's own note: the bucket that holds this; 0 when none does."""

    def expire(self, now: float) -> None:
        """Act on the missed deadline, perhaps by setting a later one."""


RESOLUTION = 0.1
"""Seconds between two looks; a deadline is noticed at most this late."""
MOST_GRANTED = 10.0
"""Seconds for which a standstill may put off what is late."""
_HORIZON = 50
"""Buckets ahead at most: nothing goes unseen for longer than five seconds."""


class Watch:
    """Tells many things that their deadline passed, with one timer.

    A deadline may be moved further away by plain assignment, which costs nothing; to bring
    it closer, `set` it.
    """

    __slots__ = ("_buckets", "_swept")

    def __init__(self, now: float) -> None:
        self._buckets: dict[int, set[Watched]] = {}
        self._swept = int(now / RESOLUTION)

    def set(self, item: Watched, deadline: float) -> None:
        """Watch *item*, from now on with *deadline* (monotonic seconds)."""
        item.deadline = deadline
        watched_in = item.watched_in
        if watched_in and deadline >= watched_in * RESOLUTION:
            return
        bucket = self._swept + _HORIZON
        if deadline < bucket * RESOLUTION:
            bucket = max(self._swept + 1, int(deadline / RESOLUTION) + 1)
        if watched_in == 0 or bucket < watched_in:
            if watched_in:
                self.discard(item)
            item.watched_in = bucket
            self._buckets.setdefault(bucket, set()).add(item)

    def discard(self, item: Watched) -> None:
        """Watch *item* no longer."""
        if item.watched_in:
            bucket = self._buckets.get(item.watched_in)
            if bucket is not None:
                bucket.discard(item)
            item.watched_in = 0

    def sweep(self, now: float) -> None:
        """Expire what is late at *now* (monotonic seconds)."""
        current = int(now / RESOLUTION)
        while self._swept < current:
            self._swept += 1
            for item in self._buckets.pop(self._swept, ()):
                if item.watched_in != self._swept:
                    # Another's expiry just ended it, or moved it on.
                    continue
                item.watched_in = 0
                if item.deadline <= now:
                    item.expire(now)
                else:
                    self.set(item, item.deadline)


class Standstill:
    """Grants time to everybody after we stood still, and so could hear nobody.

    A machine that is suspended, moved or starved, or a turn of the loop that took long, leaves
    deadlines behind that passed unseen. What came meanwhile waits in the kernel, and the loop
    looks at its timers first.
    """

    __slots__ = ("_granted", "_looked", "_until")

    def __init__(self, now: float) -> None:
        self._looked = now
        self._until = now
        self._granted = 0.0

    def excuses(self, now: float) -> bool:
        """Return whether deadlines are left alone at *now* (monotonic seconds).

        To be asked every `RESOLUTION`. As much time is granted as was lost, and never more
        than `MOST_GRANTED` without one look at the deadlines.
        """
        late = now - self._looked - RESOLUTION
        self._looked = now
        if late > RESOLUTION:
            late = min(late, MOST_GRANTED - self._granted)
            self._granted += late
            self._until = now + late
        if now < self._until:
            return True
        self._granted = 0.0
        return False


class TimeLimit:
    """Ends an `asyncio.timeout` by the watch, which knows when it stood still."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        """*timeout* has no end of its own; `Watch.set` gives it one."""
        self._timeout = timeout
        self.deadline = 0.0
        self.watched_in = 0

    def expire(self, now: float) -> None:  # noqa: ARG002
        """End it."""
        self._timeout.reschedule(asyncio.get_running_loop().time())
