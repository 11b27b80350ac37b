"""The buckets of rate limits, in memory that all workers of a gateway share.

A table of fixed size, so a flood of addresses costs nothing but other buckets: 8,192 rows of
eight buckets of 16 bytes, a megabyte. A bucket that is full again is as good as none, so
its place is free; when a row has no free place, the bucket nearest to being full gives way.

Workers are processes, and two of them may spend from one bucket at once. A row is locked for
the microsecond in which one does, by the kernel's record locks, which end with whoever
holds them; and nobody waits for a holder that stands still.
"""

import mmap
import os
import secrets
from hashlib import blake2b
from struct import Struct

from gateway.policy import rate
from gateway.policy.rate import RateLimit
from gateway.storage.locking import lock, unlock

_ROWS = 8192
_WAYS = 8
_ROW = Struct(f"{_WAYS}Q{_WAYS}d")
_MARK = Struct("Q")
_FULL_AT = Struct("d")
_SECRET_BYTES = 16
_HEADER_BYTES = 64
TABLE_BYTES = _HEADER_BYTES + _ROWS * _ROW.size
_MARKS_KEPT = 16_384


def new_table() -> int:
    """Return the descriptor of an empty table, for processes to inherit; raises OSError."""
    descriptor = os.memfd_create("rate-limits")
    os.ftruncate(descriptor, TABLE_BYTES)
    # Whoever doesn't know it can't choose addresses that share a bucket with another's.
    os.pwrite(descriptor, secrets.token_bytes(_SECRET_BYTES), 0)
    return descriptor


class Quotas:
    """What is left for whom."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Use the table behind *descriptor*, which is owned from now on; None has one alone."""
        self._descriptor = descriptor
        if descriptor is None:
            self._table = mmap.mmap(-1, TABLE_BYTES)
            self._table[:_SECRET_BYTES] = secrets.token_bytes(_SECRET_BYTES)
        else:
            self._table = mmap.mmap(descriptor, TABLE_BYTES)
        self._secret = self._table[:_SECRET_BYTES]
        self._marks: dict[tuple[str, bytes], int] = {}
        self.displaced = 0
        """Buckets that gave way to others before they were full."""

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def mark(self, limit: RateLimit, subject: bytes) -> int:
        """Return by which number the bucket of *subject* under *limit* is found."""
        known = self._marks.get((limit.name, subject))
        if known is not None:
            return known
        digest = blake2b(subject, digest_size=8, key=self._secret, person=_person(limit.name))
        mark = int.from_bytes(digest.digest(), "big") or 1
        if len(self._marks) >= _MARKS_KEPT:
            self._marks.clear()
        self._marks[limit.name, subject] = mark
        return mark

    def spend(self, mark: int, now: float, limit: RateLimit) -> tuple[bool, float]:
        """Spend one request of the bucket *mark* at *now* (monotonic seconds).

        Returns whether there was one, and when the bucket is full again.
        """
        row = self._row(mark)
        locked = self._lock(row)
        try:
            cells = _ROW.unpack_from(self._table, row)
            way = _find(cells, mark)
            full_at: float = 0.0 if way is None else cells[_WAYS + way]
            after = rate.spend(full_at, now, limit)
            if after is None:
                return False, full_at
            if way is None:
                way = self._make_room(cells, now)
                _MARK.pack_into(self._table, row + way * _MARK.size, mark)
            self._set(row, way, after)
            return True, after
        finally:
            if locked:
                self._unlock(row)

    def give_back(self, mark: int, limit: RateLimit) -> None:
        """Undo one `spend` of the bucket *mark*: the request was turned away after all."""
        self.shift(mark, 0.0, -limit.interval)

    def shift(self, mark: int, now: float, seconds: float) -> None:
        """Have the bucket *mark*, which may be full at *now*, get full *seconds* later."""
        row = self._row(mark)
        locked = self._lock(row)
        try:
            cells = _ROW.unpack_from(self._table, row)
            way = _find(cells, mark)
            if way is None:
                if seconds <= 0:
                    return
                way = self._make_room(cells, now)
                _MARK.pack_into(self._table, row + way * _MARK.size, mark)
                self._set(row, way, now + seconds)
            else:
                self._set(row, way, max(cells[_WAYS + way], now) + seconds)
        finally:
            if locked:
                self._unlock(row)

    def full_at(self, mark: int) -> float:
        """Return when the bucket *mark* is full again; in the past when it is."""
        cells = _ROW.unpack_from(self._table, self._row(mark))
        way = _find(cells, mark)
        return 0.0 if way is None else cells[_WAYS + way]

    def _row(self, mark: int) -> int:
        return _HEADER_BYTES + (mark % _ROWS) * _ROW.size

    def _set(self, row: int, way: int, full_at: float) -> None:
        _FULL_AT.pack_into(self._table, row + (_WAYS + way) * _FULL_AT.size, full_at)

    def _make_room(self, cells: tuple[float, ...], now: float) -> int:
        moments = cells[_WAYS:]
        way = moments.index(min(moments))
        if moments[way] > now:
            self.displaced += 1
        return way

    def _lock(self, row: int) -> bool:
        """Lock *row*; False when there is no need, or when a process stands still that holds it."""
        if self._descriptor is None:
            return False
        return lock(self._descriptor, row, 1)

    def _unlock(self, row: int) -> None:
        assert self._descriptor is not None
        unlock(self._descriptor, row, 1)


def _find(cells: tuple[float, ...], mark: int) -> int | None:
    try:
        return cells.index(mark, 0, _WAYS)
    except ValueError:
        return None


def _person(name: str) -> bytes:
    # Of any length, and sixteen bytes are what there is.
    return blake2b(name.encode(), digest_size=16).digest()
