"""Locks on rows of tables that processes share: for microseconds, and never waited for long.

The kernel's record locks end with whoever holds them. One that is held by a process that stands
still is passed over: each table says what that costs.
"""

import fcntl
import os
from time import perf_counter

_PATIENCE_SECONDS = 0.001
"""For another's lock: a thousand times what it should be held."""


def lock(descriptor: int, row: int, length: int) -> bool:
    """Lock the *length* bytes at *row*; False when a process stands still that has them."""
    give_up = 0.0
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, row)
        except OSError:
            now = perf_counter()
            if not give_up:
                give_up = now + _PATIENCE_SECONDS
            elif now > give_up:
                return False
            os.sched_yield()
        else:
            return True


def unlock(descriptor: int, row: int, length: int) -> None:
    """Unlock what was locked."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, length, row)
