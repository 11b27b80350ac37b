"""Who fetches what, among the workers of a node: one origin fetch for all of them.

A table of fixed size in shared memory, as that of the rate limits: a lease is the mark of a
key, who has it and until when. Whoever dies with a lease loses it at once, whoever hangs
when it ends; and a row that is full simply gives none, so that two may fetch the same.
Instants are monotonic seconds, which all processes of a system share.
"""

import mmap
import os
from enum import Enum
from hashlib import blake2b
from struct import Struct

from gateway.storage.locking import lock, unlock

_ROWS = 2048
_WAYS = 8
_CELL = Struct("=QQd")
"""Mark, process, end."""
_ROW_BYTES = _WAYS * _CELL.size
TABLE_BYTES = _ROWS * _ROW_BYTES


class Answer(Enum):
    """What became of asking for a lease."""

    OURS = "ours"
    ANOTHERS = "another's"
    NONE = "none"
    """There is no room for one."""
    UNKNOWN = "unknown"
    """Another process has this part of the table locked: for a moment, or it stands still."""


def new_table() -> int:
    """Return the descriptor of an empty table, for processes to inherit; raises OSError."""
    descriptor = os.memfd_create("leases")
    os.ftruncate(descriptor, TABLE_BYTES)
    return descriptor


class Leases:
    """One process's way to the table."""

    def __init__(self, descriptor: int) -> None:
        """Use the table behind *descriptor*, which stays its owner's."""
        self._descriptor = descriptor
        self._table = mmap.mmap(descriptor, TABLE_BYTES)
        self._self = os.getpid()

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()

    def acquire(self, key: bytes, now: float, seconds: float) -> Answer:
        """Ask for the lease of *key* for *seconds*; who has it may ask again, to keep it."""
        mark, row = _place(key)
        if not lock(self._descriptor, row, _ROW_BYTES):
            return Answer.UNKNOWN
        try:
            free = -1
            for at in range(row, row + _ROW_BYTES, _CELL.size):
                held, holder, until = _CELL.unpack_from(self._table, at)
                gone = until < now or (holder != self._self and not _is_alive(holder))
                if held == mark and not gone and holder != self._self:
                    return Answer.ANOTHERS
                if held == mark:
                    free = at
                    break
                if (not held or gone) and free < 0:
                    free = at
            if free < 0:
                return Answer.NONE
            _CELL.pack_into(self._table, free, mark, self._self, now + seconds)
            return Answer.OURS
        finally:
            unlock(self._descriptor, row, _ROW_BYTES)

    def release(self, key: bytes) -> bool:
        """Give the lease of *key* back, if it is ours; False to try again, the table is locked."""
        mark, row = _place(key)
        if not lock(self._descriptor, row, _ROW_BYTES):
            return False
        try:
            for at in range(row, row + _ROW_BYTES, _CELL.size):
                held, holder, _ = _CELL.unpack_from(self._table, at)
                if held == mark and holder == self._self:
                    _CELL.pack_into(self._table, at, 0, 0, 0.0)
            return True
        finally:
            unlock(self._descriptor, row, _ROW_BYTES)

    def held(self, key: bytes, now: float) -> bool:
        """Return whether another process has the lease of *key*; without a lock."""
        mark, row = _place(key)
        for at in range(row, row + _ROW_BYTES, _CELL.size):
            held, holder, until = _CELL.unpack_from(self._table, at)
            if held == mark:
                return holder != self._self and until >= now and _is_alive(holder)
        return False


def _place(key: bytes) -> tuple[int, int]:
    digest = blake2b(key, digest_size=8).digest()
    mark = int.from_bytes(digest, "big") or 1
    return mark, mark % _ROWS * _ROW_BYTES


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
