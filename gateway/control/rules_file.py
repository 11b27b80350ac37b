"""The rules file as the supervisor sees it: read, judged, watched.

A file that can't be used changes nothing: the rules that were good stay in force, the error
is told once, and readiness and metrics show that the file and the rules in force differ.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import watchfiles

from gateway.control.channel import Settings
from gateway.edge.snapshot import Snapshot
from gateway.errors import ConfigurationError, UnusableRules

_log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """What the rules come to."""

    said: list[str]
    """A line for each route, saying what holds there."""
    included: dict[str, bytes]
    """What the files have that the rules include, by path."""
    snapshot: Snapshot | None = None
    """The rules as a worker goes by them; None when nobody needs to know."""


Judge = Callable[[Settings], Judged]
"""Checks the rules in a `Settings`; raises ConfigurationError with every error and its place."""

LONGEST_RULES = 1024 * 1024
_LOOK_INTERVAL_MS = 2000
# It tells every change of every file in the folder.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


class RulesFile:
    """One rules file over time."""

    def __init__(self, settings: Settings, judge: Judge) -> None:
        self.in_force = settings
        """The settings with the last rules that were good; who begins goes by them."""
        self.error: str | None = None
        """Why what the file says now can't be used; None when it is in force."""
        self.failures = 0
        """Times that a change of the file couldn't be used."""
        self._judge = judge
        self._refused: bytes | None = None
        self._refused_files: dict[str, bytes] = {}
        """What those rules refer to, which the ones in force may not."""
        self._said: list[str] = []
        self._saying: list[str] = []
        self.snapshot: Snapshot | None = None
        """The rules in force, as a worker goes by them."""
        self._next: Snapshot | None = None

    def begin(self) -> None:
        """Judge what is in force from the start; raises ConfigurationError."""
        judged = self._judge(self.in_force)
        self._said, self.snapshot = judged.said, judged.snapshot

    async def load_again(self, *, force: bool) -> Settings | None:
        """Read and judge the file, off the event loop; return the new settings.

        None when it says what is in force already, or what was refused already. With *force*
        it is judged all the same: what it refers to may have changed. Raises
        ConfigurationError for what can't be used; the same text is told once.
        """
        text = await asyncio.to_thread(_read, self.in_force.rules)
        mine = self.in_force.included or {}
        files = await asyncio.to_thread(_read_all, {**self._refused_files, **mine})
        if text == self.in_force.rules_text and {path: files[path] for path in mine} == mine:
            self.error = None
            self._forget_refused()
            if not force:
                return None
        read = together(text, files)
        if read == self._refused and not force:
            return None
        # What is included may be another set of files by now.
        settings = msgspec.structs.replace(self.in_force, rules_text=text, included=None)
        try:
            judged = await asyncio.to_thread(self._judge, settings)
        except UnusableRules as error:
            # What they refer to is watched from now on: that is where the mistake may be.
            self._refused_files = error.files
            self.refuse(str(error), together(text, {**files, **error.files}))
            raise
        except ConfigurationError as error:
            self.refuse(str(error), read)
            raise
        self._saying, self._next = judged.said, judged.snapshot
        return msgspec.structs.replace(settings, included=judged.included)

    def refuse(self, why: str, text: bytes | None) -> None:
        """Note that *text* can't be used."""
        self.error = why
        if text is None or text != self._refused:
            self.failures += 1
            _log.error("the rules stay as they are: %s", why)
        self._refused = text

    def taken(self) -> None:
        """Note that what was read last is in force everywhere."""
        self.error = None
        self._forget_refused()
        self.snapshot = self._next
        self._tell_difference(self._saying)

    def _forget_refused(self) -> None:
        self._refused = None
        self._refused_files = {}

    def _tell_difference(self, said: list[str]) -> None:
        """Log which routes have come, gone or changed."""
        before, after = set(self._said), set(said)
        for line in self._said:
            if line not in after:
                _log.info("rules: no longer %s", line)
        for line in said:
            if line not in before:
                _log.info("rules: now %s", line)
        self._said = said

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Call *changed* after each change of the file, for as long as this runs.

        The folder is watched, not the file: editors write a new file and rename it, and a
        Kubernetes ConfigMap changes where a link in the folder points.
        """
        changes = watchfiles.awatch(
            os.path.dirname(self.in_force.rules) or ".",  # noqa: PTH120 - as typed
            recursive=False,
            step=100,
            debounce=500,
            # Where no events come (network file systems), or one was missed, a look does it.
            rust_timeout=_LOOK_INTERVAL_MS,
            yield_on_timeout=True,
        )
        async for _ in changes:
            await changed()


def together(text: bytes, included: dict[str, bytes]) -> bytes:
    """Return bytes that differ when any of the files does."""
    return b"\0".join([text, *(included[path] for path in sorted(included))])


def _read_all(known: dict[str, bytes]) -> dict[str, bytes]:
    """Return what stands now in the files of *known*; what can't be read is empty."""
    found = {}
    for path in known:
        try:
            found[path] = _read(path)
        except ConfigurationError:
            found[path] = b""
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as typed
            return file.read(LONGEST_RULES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
