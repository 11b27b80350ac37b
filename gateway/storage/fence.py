"""Whether a process knows of every purge, seen in one look at shared memory.

Each process counts here the purges that it began, in a place of its own, before anybody acts
on them; and each keeps count of whose purges it has applied. Whoever's counts differ from
what stands here relies on nothing stored until word has come: so nobody uses what was purged,
however late the word arrives, even after standing still meanwhile. Where purges come from
other replicas, too, the supervisor writes down until when it knows that none is missing.
Instants are monotonic seconds, which all processes of a system share.
"""

import mmap
import os
import time
from collections.abc import Callable, Sequence
from struct import Struct

from gateway.clock import Stamp

PLACES = 4096
ALWAYS = float("inf")
_UNTIL = Struct("=d")
_HEADER_BYTES = 16
_COUNT = Struct("=Q")
TABLE_BYTES = _HEADER_BYTES + PLACES * _COUNT.size


def new_fence() -> int:
    """Return the descriptor of a fence that stops nobody, for processes to inherit."""
    descriptor = os.memfd_create("purges-known")
    os.ftruncate(descriptor, TABLE_BYTES)
    os.pwrite(descriptor, _UNTIL.pack(ALWAYS), 0)
    return descriptor


class Fence:
    """One process's view."""

    __slots__ = ("_applied", "_attached", "_end", "_map", "_place", "_until", "monotonic")

    def __init__(
        self,
        descriptor: int,
        place: int,
        applied: Sequence[int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stand at *place*, knowing of as many purges of each place as *applied* says.

        The places beyond those in *applied* are nobody's.
        """
        self._map = mmap.mmap(descriptor, TABLE_BYTES)
        view = memoryview(self._map)
        self._until = view[:8].cast("d")
        self._attached = view[8:16].cast("Q")
        self._place = place
        self._end = _HEADER_BYTES + len(applied) * _COUNT.size
        self._applied = b"".join(_COUNT.pack(each) for each in applied)
        self.monotonic = monotonic

    def current(self) -> bool:
        """Return whether this process knows of every purge there was."""
        return (
            self._map[_HEADER_BYTES : self._end] == self._applied
            and self.monotonic() <= self._until[0]
        )

    def counted(self) -> bytes | None:
        """Return what stands here now, for `reached`.

        None while purges of other replicas may be missing, which nobody has counted yet.
        """
        if self.monotonic() > self._until[0]:
            return None
        return self._map[_HEADER_BYTES : self._end]

    def reached(self, counted: bytes) -> bool:
        """Return whether every purge is applied here that stood here at *counted*.

        Others may have come since, which who began to wait before them needn't wait for.
        """
        return all(
            ours >= theirs
            for (ours,), (theirs,) in zip(
                _COUNT.iter_unpack(self._applied), _COUNT.iter_unpack(counted), strict=True
            )
        )

    def begin(self) -> None:
        """Count a purge that begins here, and is applied here."""
        self.applied(self._place)
        self._write(self._place, self._count(self._place))

    def applied(self, place: int) -> None:
        """Note that a purge which began at *place* is applied here."""
        at = place * _COUNT.size
        count = _COUNT.pack(self._count(place) + 1)
        self._applied = self._applied[:at] + count + self._applied[at + _COUNT.size :]

    @property
    def counts(self) -> list[int]:
        """How many purges of each place are applied here."""
        return [count for (count,) in _COUNT.iter_unpack(self._applied)]

    def bury(self, place: int) -> None:
        """Forget what the dead at *place* counted and told nobody of."""
        self._write(place, self._count(place))

    def _count(self, place: int) -> int:
        return int(_COUNT.unpack_from(self._applied, place * _COUNT.size)[0])

    def _write(self, place: int, count: int) -> None:
        _COUNT.pack_into(self._map, _HEADER_BYTES + place * _COUNT.size, count)

    # Other replicas.

    @property
    def until(self) -> float:
        """Until when it is known that no purge of another replica is missing."""
        return self._until[0]

    @until.setter
    def until(self, until: float) -> None:
        self._until[0] = until

    @property
    def attached(self) -> bool:
        """Whether purges of other replicas come in, so that what they stored may be used."""
        return self._attached[0] == 1

    @attached.setter
    def attached(self, attached: bool) -> None:
        self._attached[0] = int(attached)


class FencedStamp(Stamp):
    """The present stamp, equal to none while a purge may be missing."""

    __slots__ = ("_fence", "_value")

    def __init__(self, now: float, fence: Fence) -> None:
        self._fence = fence
        self._value: float = 0
        super().__init__(now)

    @property
    def value(self) -> float:
        """What prepared answers are compared with; not a number, which equals nothing."""
        return self._value if self._fence.current() else _NONE

    @value.setter
    def value(self, value: float) -> None:
        self._value = value

    def change(self, now: float) -> None:
        """Make everything that was prepared under the old stamp invalid."""
        self._value += 1
        self.now = now


_NONE = float("nan")
