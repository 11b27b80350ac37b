r"""The access log: one JSON object a line, one line a request, never in the way.

An entry costs the data plane an append. Batches are encoded on the event loop, because a
second thread that computes would take the interpreter from the loop for whole switch
intervals (5 ms); writing them is a thread's work, because a disk or a pipe may block for
as long as it likes. Between the two stands a bounded queue: when it is full, lines are
dropped and counted.

What clients sent is made of ASCII: JSON escapes control characters, and bytes outside
ASCII are written as ``\xNN``, so that no request can move the cursor of the terminal on
which somebody reads this.
"""

import asyncio
import logging
import os
import queue
import select
import stat
import sys
import threading
import time
from pathlib import Path

import msgspec

from gateway.counters import Counters
from gateway.edge.interfaces import LogEntry
from gateway.errors import ConfigurationError

_log = logging.getLogger(__name__)

_BATCH = 512
_INTERVAL = 0.25
"""Seconds that an entry waits at most before its batch is handed over."""
_WAITING_BYTES = 8 << 20
_MODE = 0o640


class Line(msgspec.Struct, omit_defaults=True):
    """One line; what is empty is left out."""

    time: str
    """When the request was complete, UTC, RFC 3339 with milliseconds."""
    client: str
    method: str
    target: str
    host: str
    protocol: str
    status: int
    bytes: int
    """Of the body that was sent."""
    seconds: float
    route: str = ""
    cache: str = ""
    """The word of X-Cache."""
    origin: str = ""
    error: str = ""
    user_agent: str = ""
    referer: str = ""
    user: str = ""
    """A digest that tells users apart."""
    org: str = ""
    """The organisation that a valid token named."""
    asked: str = ""
    """The request's Cache-Control."""
    variant: str = ""
    """A digest of what told apart the answer from others to the same URL."""
    origin_status: int = 0
    """What the origin answered, where it was asked."""
    origin_said: dict[str, str] | None = None
    """Its fields that decide whether and how long the answer is kept."""
    origin_bytes: int = 0
    """Of its body, before we encoded or decoded it."""


class AccessLogFile:
    """Writes entries to a file or to stdout; belongs to one event loop."""

    def __init__(self, name: str, counters: Counters) -> None:
        """Open *name*, ``-`` for stdout; raises ConfigurationError.

        Lines that had to be dropped are counted in *counters*.
        """
        self._name = name
        self._counters = counters
        self._entries: list[LogEntry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encoder = msgspec.json.Encoder()
        self._second = 0
        self._second_text = ""
        self._handed = 0
        self._written = 0
        self._failed_lines = 0
        self._told_failed_lines = 0
        self._queue: queue.SimpleQueue[_Batch | _Reopen | _End] = queue.SimpleQueue()
        self._descriptor = open_for_append(name)
        # A daemon: a pipe that nobody reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_out, name="access-log", daemon=True)
        self._thread.start()

    def write(self, entry: LogEntry) -> None:
        """Take *entry*; never blocks, never fails."""
        entries = self._entries
        entries.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self.flush)
        if len(entries) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the writing thread, or drop it where too much waits there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, []
        self._counters.log_lines_dropped += self._failed_lines - self._told_failed_lines
        self._told_failed_lines = self._failed_lines
        if not entries:
            return
        # Each of the two sums has one writer, so their difference needs no lock.
        if self._handed - self._written > _WAITING_BYTES:
            self._counters.log_lines_dropped += len(entries)
            return
        text = self._encoder.encode_lines([self._line(entry) for entry in entries])
        self._handed += len(text)
        self._queue.put(_Batch(text, len(entries)))

    def reopen(self) -> None:
        """Go on in a new file of the same name, after the old one was renamed."""
        self.flush()
        self._queue.put(_Reopen())

    async def close(self, limit: float = 2.0) -> None:
        """Write what waits; what the medium doesn't take in *limit* seconds is lost."""
        self.flush()
        self._queue.put(_End())
        # Not the loop's executor: its threads are waited for at the end of the process.
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def watch() -> None:
            self._thread.join(limit)
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=watch, daemon=True).start()
        await ended.wait()
        self.flush()

    def _line(self, entry: LogEntry) -> Line:
        (at, client, method, target, host, minor, status, size, seconds) = entry[:9]
        route, word, origin, error, user_agent, referer, context = entry[9:]
        second = int(at)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return Line(
            f"{self._second_text}.{int((at - second) * 1000):03d}Z",
            client,
            method.decode("ascii", "backslashreplace"),
            target.decode("ascii", "backslashreplace"),
            host.decode("ascii", "backslashreplace"),
            "HTTP/1.1" if minor == 1 else f"HTTP/1.{minor}",
            status,
            size,
            round(seconds, 6),
            route,
            word,
            origin,
            error,
            user_agent.decode("ascii", "backslashreplace"),
            referer.decode("ascii", "backslashreplace"),
            *context,
        )

    def _write_out(self) -> None:
        """Run in the thread: write batch after batch until the end is handed over."""
        healthy = True
        while not isinstance(order := self._queue.get(), _End):
            try:
                if isinstance(order, _Batch):
                    _write_whole(self._descriptor, order.text)
                elif self._name != "-":
                    fresh = open_for_append(self._name)
                    old, self._descriptor = self._descriptor, fresh
                    os.close(old)
                healthy = True
            except (OSError, ConfigurationError) as error:
                if healthy:
                    _log.error("access log: lines are lost until this ends: %s", error)
                healthy = False
                if isinstance(order, _Batch):
                    self._failed_lines += order.lines
            finally:
                if isinstance(order, _Batch):
                    self._written += len(order.text)
        if self._name != "-":
            os.close(self._descriptor)


class _Batch:
    __slots__ = ("lines", "text")

    def __init__(self, text: bytes, lines: int) -> None:
        self.text = text
        self.lines = lines


class _Reopen:
    __slots__ = ()


class _End:
    __slots__ = ()


def open_for_append(name: str) -> int:
    """Return a descriptor of the log *name*; ``-`` is stdout. Raises ConfigurationError."""
    if name == "-":
        return sys.stdout.fileno()
    try:
        return os.open(Path(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the access log {name}: {error.strerror}; choose another with "
            "--access-log"
        ) from error


def _write_whole(descriptor: int, text: bytes) -> None:
    """Write *text* so that lines of several workers don't mix.

    A file opened for appending takes a write as one piece, whatever its size; a pipe or a
    terminal only up to PIPE_BUF bytes, so there whole lines are packed below it.
    """
    view = memoryview(text)
    whole = stat.S_ISREG(os.fstat(descriptor).st_mode)
    while view:
        piece = view if whole or len(view) <= select.PIPE_BUF else view[: _lines_end(view)]
        view = view[os.write(descriptor, piece) :]


def _lines_end(view: memoryview) -> int:
    """Return where the last line ends that lies whole in the first PIPE_BUF bytes.

    A longer line is written in one piece all the same: then it may be torn.
    """
    end = bytes(view[: select.PIPE_BUF]).rfind(b"\n") + 1
    if end:
        return end
    return (bytes(view).find(b"\n") + 1) or len(view)
