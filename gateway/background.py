"""Tasks that nobody awaits, held so that none vanishes and none fails unheard."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

OBEYED_SECONDS = 3.0
"""After which a task that was cancelled, and runs still, is cancelled once more: until then it
may be putting things in order."""

T = TypeVar("T")


class Background:
    """Holds running tasks; the event loop itself keeps only weak references."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run *work* as a task of its own and log how it failed, if it does.

        *name* stands in the log line; None takes the one that asyncio makes up.
        """
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Asking for the exception marks it as seen, so that the garbage collector doesn't
        # tell of it a second time.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task %s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        # One of them may be who closes us; it must not wait for itself.
        tasks = self._tasks - {asyncio.current_task()}
        while tasks:
            for task in tasks:
                task.cancel()
            # Up to Python 3.11 `asyncio.wait_for` loses a cancellation that comes in the very
            # turn in which what it waits for is done. Libraries use it (redis-py does, for
            # each command), so a task may run on, and would do so for ever.
            _, tasks = await asyncio.wait(tasks, timeout=OBEYED_SECONDS)
