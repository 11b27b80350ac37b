"""Having renditions of pictures made: by one process for each worker, one after another.

Nobody waits for them. The process begins with the first order and ends when it has had none
for a while; one that breaks, or takes too long over an order, is ended, and the next order
begins another. What is too long is told by processor time: whoever gives way to everybody else
may stand still for minutes on a busy machine, and that is no fault of the picture.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections import deque
from collections.abc import Callable

import msgspec

from gateway.background import Background
from gateway.edge.render import LENGTH, MOST_SECONDS, Order, Rendered

MOST_WAITING = 256
"""Orders that may wait; the next who wants what isn't ordered then asks again."""
_WAITING_BYTES = 64 * 1024 * 1024
"""Of pictures that orders hold on to, and that nobody else may want any more."""
_LONGEST_SECONDS = 600.0
"""Until a process that neither answers nor uses up its processor time is given up."""
_IDLE_SECONDS = 30.0
_log = logging.getLogger("gateway.images")

Told = Callable[[Rendered | None], None]
"""Is told what became of an order; None when its process broke."""


class Renderer:
    """The orders of one worker, and the process that they are for."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._waiting: deque[tuple[Order, Told]] = deque()
        self._waiting_bytes = 0
        self._working = False
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False
        self._more = asyncio.Event()

    def order(self, order: Order, told: Told) -> bool:
        """Have *order* made and *told* of it; False when there is too much to do already."""
        if (
            self._closed
            or len(self._waiting) >= MOST_WAITING
            or self._waiting_bytes > _WAITING_BYTES
        ):
            return False
        self._waiting.append((order, told))
        self._waiting_bytes += len(order.source)
        self._more.set()
        if not self._working:
            self._working = True
            self._background.spawn(self._work(), name="renditions")
        return True

    def close(self) -> None:
        """Begin nothing more; what is being made is for nobody."""
        self._closed = True
        self._waiting.clear()
        self._more.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _work(self) -> None:
        try:
            while await self._any():
                order, told = self._waiting.popleft()
                self._waiting_bytes -= len(order.source)
                told(await self._rendered(order))
        finally:
            self._working = False
            await self._end()

    async def _any(self) -> bool:
        """Wait for an order; False when there was none for a while."""
        if not self._waiting:
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), _IDLE_SECONDS)
        return bool(self._waiting) and not self._closed

    async def _rendered(self, order: Order) -> Rendered | None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                return await self._asked(order)
        except TimeoutError:
            why = f"took longer than {_LONGEST_SECONDS:.0f} s"
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
            why = f"broke its process: {error}"
        if await self._end() == -signal.SIGXCPU:
            why = f"took longer than {MOST_SECONDS} s of processor time"
        if not self._closed:
            _log.warning("a picture of %d bytes %s; it stays as it is", len(order.source), why)
        return None

    async def _asked(self, order: Order) -> Rendered:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "gateway.edge.render"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        data = msgspec.msgpack.encode(order)
        process.stdin.write(LENGTH.pack(len(data)) + data)
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        answer = await process.stdout.readexactly(length)
        return msgspec.msgpack.decode(answer, type=Rendered)

    async def _end(self) -> int | None:
        """End the process; returns its exit status, which is a signal's with a minus."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        return process.returncode
