"""What was purged, on disk: what outlives the gateway is judged by it after a restart.

One JSON line for each purge, written before anybody says that it is done. A last line that
was cut off is that of a purge which nobody was told of; anything else that can't be read
counts as a purge of everything up to now, because it may have been one.
"""

import base64
import contextlib
import logging
import os
import time
from pathlib import Path
from typing import IO

import msgspec

from gateway.storage.purges import Kind, Mode, Purge, Purges

_log = logging.getLogger(__name__)

_REWRITTEN_AFTER = 50_000
"""Lines; what is known of them is written anew then, in far fewer."""


class _Line(msgspec.Struct, omit_defaults=True):
    at: float = 0.0
    kind: Kind | None = None
    value: str = ""
    host: str = ""
    mode: Mode = Mode.SOFT
    cursor: str = ""
    """How far another's purges are known: an id of the replicas' stream."""
    source: str = ""
    """What the cursor is about."""


class PurgeBook:
    """The purges known to this gateway."""

    def __init__(self) -> None:
        self.purges = Purges()
        self.cursors: dict[str, str] = {}
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._lines = 0
        self._unwritten = False

    def open(self, path: Path) -> None:
        """Take over what *path* says, and write there from now on."""
        self._path = path
        content, complaint = b"", ""
        with contextlib.suppress(FileNotFoundError):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                raise
            except OSError as error:
                complaint = f"can't be read: {error.strerror}"
        *lines, cut_off = content.split(b"\n")
        taken = [self._take(line) for line in lines]
        if not all(taken):
            complaint = f"is damaged in line {taken.index(False) + 1}"
        if cut_off:
            _log.info("the last line of %s was cut off, and nobody was told of it", path)
        if complaint:
            _log.error("%s %s: nothing that was stored before is used", path, complaint)
            self.purges.apply(Purge(Kind.ALL, mode=Mode.HARD), time.time())
        self._rewrite()

    def _take(self, line: bytes) -> bool:
        try:
            read = msgspec.json.decode(line, type=_Line)
            if read.source:
                self.cursors[read.source] = read.cursor
            if read.kind is not None:
                value = base64.b64decode(read.value, validate=True)
                host = read.host.encode("latin-1")
                self.purges.apply(Purge(read.kind, value, host, read.mode), read.at)
        except (msgspec.DecodeError, ValueError):
            return False
        return True

    def note(self, purges: list[Purge], at: float) -> None:
        """Note *purges* of what was asked for before *at* (epoch seconds)."""
        for purge in purges:
            self.purges.apply(purge, at)
        self._write([_line(purge, at) for purge in purges])

    def set_cursor(self, source: str, cursor: str) -> None:
        """Note how far the purges of *source* are known."""
        if self.cursors.get(source) != cursor:
            self.cursors[source] = cursor
            self._write([_Line(source=source, cursor=cursor)])

    def history(self) -> list[tuple[Purge, float]]:
        """Return purges that make what is known here, for who begins later."""
        return list(self.purges.history())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: list[_Line]) -> None:
        if self._path is None:
            return
        file = self._file
        if file is None or self._unwritten or self._lines + len(lines) > _REWRITTEN_AFTER:
            self._rewrite()
            return
        try:
            file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            file.flush()
            self._lines += len(lines)
        except OSError as error:
            self._complain(error)

    def _rewrite(self) -> None:
        """Write all that is known, in place of what was there."""
        assert self._path is not None
        lines = [_line(purge, at) for purge, at in self.history()]
        lines += [_Line(source=source, cursor=cursor) for source, cursor in self.cursors.items()]
        new = self._path.with_suffix(".new")
        try:
            self.close()
            with new.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            self._file = self._path.open("ab")
            self._lines = len(lines)
            self._unwritten = False
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._unwritten:
            _log.error(
                "purges can't be written to %s: %s; until they can be, what was purged may come"
                " back when the gateway is started again",
                self._path,
                error.strerror,
            )
        # Tried again with the next purge, with all that is missing.
        self._unwritten = True


def _line(purge: Purge, at: float) -> _Line:
    value = base64.b64encode(purge.value).decode("ascii")
    return _Line(at, purge.kind, value, purge.host.decode("latin-1"), purge.mode)
