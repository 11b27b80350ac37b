"""Access logs as they are read for a replay: our own lines of JSON, or nginx's combined format.

Lines stand in a log in the order in which requests were complete. A replay needs them in the
order in which they began, so lines wait in a heap until nothing can come that began earlier.
"""

import gzip
import heapq
import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from gateway.errors import ConfigurationError

LONGEST_SECONDS = 60.0
"""Requests that took longer may be replayed a little out of order."""
_MOST_NAMED = 5
_COMBINED = re.compile(
    rb"(?P<client>\S+) \S+ .*?\[(?P<time>[^\]]{20,30})\] "
    rb'"(?P<method>[A-Z\-]+) (?P<target>\S+)(?: HTTP/[0-9.]+)?" '
    rb"(?P<status>[0-9]{3}) (?P<bytes>[0-9]+|-)"
)
_COMBINED_TIME = "%d/%b/%Y:%H:%M:%S %z"
_GZIP = b"\x1f\x8b"


class Request(NamedTuple):
    """One request of a log, and what is known about the origin's answer."""

    began: float
    """Epoch seconds."""
    seconds: float
    client: str
    method: str
    host: str
    target: str
    status: int
    sent_bytes: int
    """Of the body that was sent."""
    word: str
    """Of X-Cache; empty where the log doesn't tell."""
    user: str
    org: str
    asked: str
    """Its Cache-Control."""
    variant: str
    origin_status: int
    """0 where the log doesn't tell."""
    said: bytes
    """JSON: the origin's fields, empty where the log doesn't tell."""
    origin_bytes: int


class _Line(msgspec.Struct):
    """A line of our own log; see `gateway/control/access_log.py`."""

    time: str
    method: str
    target: str
    status: int
    client: str = ""
    host: str = ""
    bytes: int = 0
    seconds: float = 0.0
    cache: str = ""
    user: str = ""
    org: str = ""
    asked: str = ""
    variant: str = ""
    origin_status: int = 0
    origin_said: msgspec.Raw = msgspec.Raw(b"")
    origin_bytes: int = 0


@dataclass(slots=True)
class Log:
    """A log that is being read, and what was noticed on the way."""

    name: str
    lines: int = 0
    unread: int = 0
    """Lines that are no request in either format."""
    complaints: list[str] = field(default_factory=list)
    """The first of them, each with file and line."""
    tells_origin: bool = False
    """Whether any line says what the origin said."""
    combined: int = 0
    """Lines in nginx's format."""
    _decoder: msgspec.json.Decoder[_Line] = field(
        default_factory=lambda: msgspec.json.Decoder(_Line)
    )
    _seconds: dict[str, float] = field(default_factory=dict)

    def requests(self, lines: Iterable[bytes]) -> Iterator[Request]:
        """Yield the requests of *lines* in the order in which they began."""
        waiting: list[tuple[float, int, Request]] = []
        for number, line in enumerate(lines, 1):
            self.lines = number
            if line.isspace():
                continue
            try:
                request = self._of_json(line) if line[:1] == b"{" else self._of_combined(line)
            except (msgspec.MsgspecError, ValueError) as error:
                self.unread += 1
                if len(self.complaints) < _MOST_NAMED:
                    self.complaints.append(f"{self.name}:{number}: {error}")
                continue
            ended = request.began + request.seconds
            heapq.heappush(waiting, (request.began, number, request))
            while waiting and waiting[0][0] < ended - LONGEST_SECONDS:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _of_json(self, text: bytes) -> Request:
        line = self._decoder.decode(text)
        said = bytes(line.origin_said)
        if said:
            self.tells_origin = True
        return Request(
            self._instant(line.time) - line.seconds,
            line.seconds,
            line.client,
            line.method,
            line.host,
            line.target,
            line.status,
            line.bytes,
            line.cache,
            line.user,
            line.org,
            line.asked,
            line.variant,
            line.origin_status,
            said,
            line.origin_bytes,
        )

    def _instant(self, text: str) -> float:
        """Return the epoch seconds of an RFC 3339 time in UTC."""
        whole, fraction = text[:19], text[19:]
        second = self._seconds.get(whole)
        if second is None:
            second = datetime.fromisoformat(f"{whole}+00:00").timestamp()
            self._remember(whole, second)
        if fraction in ("Z", ""):
            return second
        if not fraction.endswith("Z") or not fraction.startswith("."):
            return datetime.fromisoformat(text).timestamp()
        return second + float(fraction[:-1])

    def _of_combined(self, line: bytes) -> Request:
        match = _COMBINED.match(line)
        if match is None:
            raise ValueError("this is neither a JSON object nor nginx's combined format")
        self.combined += 1
        time = match["time"].decode("ascii", "replace")
        began = self._seconds.get(time)
        if began is None:
            began = datetime.strptime(time, _COMBINED_TIME).timestamp()  # noqa: DTZ007 - has %z
            self._remember(time, began)
        return Request(
            began,
            0.0,
            match["client"].decode("ascii", "replace"),
            match["method"].decode("ascii"),
            "",
            match["target"].decode("utf-8", "backslashreplace"),
            int(match["status"]),
            0 if match["bytes"] == b"-" else int(match["bytes"]),
            *("", "", "", "", "", 0, b"", 0),
        )

    def _remember(self, text: str, second: float) -> None:
        if len(self._seconds) > 10_000:
            self._seconds.clear()
        self._seconds[text] = second


@contextmanager
def opened(name: str) -> Iterator[Iterable[bytes]]:
    """Open the log *name*, gzipped or not, ``-`` for stdin.

    Raises:
        ConfigurationError: it can't be read.

    """
    try:
        raw: BinaryIO = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the access log {name}: {error.strerror}; gateway serve writes one "
            "with --access-log FILE"
        ) from error
    with raw:
        lines = io.BufferedReader(cast("io.RawIOBase", raw), 1 << 20)
        if lines.peek(2)[:2] == _GZIP:
            with gzip.open(lines) as unpacked:
                yield _unpacked(name, unpacked)
        else:
            yield lines


def _unpacked(name: str, lines: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"the access log {name} can't be unpacked: {error}") from error
