"""Tasks that run beside the requests, and their end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_log = logging.getLogger(__name__)

OBEYED_SECONDS = 3.0
"""After which a task that was cancelled, and runs still, is cancelled once more: until then it
may be putting things in order."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel *tasks* and wait until they have ended; log how they failed, if they did.

    Up to Python 3.11 `asyncio.wait_for` loses a cancellation that comes in the very turn in
    which what it waits for is done, and a task that waits again then would run for ever.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=OBEYED_SECONDS)
    for task in tasks:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionError):
            _log.error("background task %s failed", task.get_name(), exc_info=error)


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let *work* go on until left."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)
