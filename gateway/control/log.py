"""The program's own log: one line an event on stderr, with time, level and process.

Not the access log (`access_log.py`). A traceback is folded into its line, innermost frame
first, so that a line-based collector never tears an error apart and text from outside can
forge no second line.
"""

import logging
import sys
import time
import traceback
from pathlib import PurePath
from typing import TextIO

_FRAMES = 6
"""How many frames of a traceback are told, the innermost."""


class OneLine(logging.Formatter):
    """Writes ``TIME LEVEL PROCESS: text (cause)`` in UTC."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the one line of *record*."""
        instant = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text = f"{text}: {told(record.exc_info[1])}"
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return f"{instant}.{int(record.msecs):03d}Z {record.levelname} {self._process}: {text}"


def told(failure: BaseException) -> str:
    """Return *failure*, where it was raised and what caused it."""
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = failure
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = traceback.extract_tb(cause.__traceback__)[-_FRAMES:]
        way = " < ".join(
            f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in reversed(frames)
        )
        name = type(cause).__name__
        said = f"{name}: {cause}" if str(cause) else name
        parts.append(f"{said} [{way}]" if way else said)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "; caused by ".join(parts)


def configure(process: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines to *stream*, or to stderr, named after *process*."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(OneLine(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
