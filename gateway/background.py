"""Tasks that nobody awaits, held.

The event loop keeps only weak references to tasks, and an exception in a task that nobody
awaits is told by the garbage collector or not at all. What is started here is held until
it ends, is named, and its failure is logged once, when it happens.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class HeldTasks:
    """The background tasks of one owner, ended together with it."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start *work* on the running loop and hold it; *name* stands in the log line."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        ending = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        # Asking for the exception marks it as seen, so that it isn't told a second time
        # by the garbage collector.
        if (failure := task.exception()) is not None:
            _log.error("background task %s failed", task.get_name(), exc_info=failure)
