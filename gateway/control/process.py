"""One worker process, as its supervisor sees it."""

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from enum import StrEnum
from typing import cast

from gateway.background import Background
from gateway.control.channel import (
    Ask,
    Begin,
    Channel,
    Drain,
    Failed,
    Look,
    Passed,
    Peek,
    Peeked,
    Purged,
    PurgeNow,
    Ready,
    Reload,
    Reloaded,
    Reopen,
    Retiring,
    Seen,
    Settings,
    Spread,
    Told,
    ToWorker,
    Variant,
)
from gateway.control.shared import SharedMemory
from gateway.control.totals import nothing
from gateway.counters import Reading
from gateway.edge.insight import Looked
from gateway.storage.purges import Purge

_LAST_WORDS = 1.0
"""Seconds in which what a dead worker still said must have come through."""


Heard = Callable[["WorkerProcess", list[Purge]], None]
"""Takes the purges that a worker noted first."""


class State(StrEnum):
    """Where a worker is in its life; the words of ``/readyz``."""

    STARTING = "starting"
    ACCEPTING = "accepting"
    DRAINING = "draining"
    ENDED = "ended"


def _nobody(spent: list[tuple[str, bytes, int]]) -> None:
    """Tell nobody: there are no replicas."""


class WorkerProcess:
    """A running worker; its state follows from what it says and from its end."""

    def __init__(
        self,
        name: str,
        process: Process,
        channel: Channel,
        held: Background,
        heard: Heard,
        place: int,
    ) -> None:
        self.name = name
        self.place = place
        """Where it counts the purges that it begins."""
        self._heard = heard
        self.on_passed: Callable[[list[tuple[str, bytes, int]]], None] = _nobody
        """Is told what passed rate limits that replicas keep together."""
        self._asked: dict[int, asyncio.Future[object]] = {}
        """Questions that it hasn't answered yet, by number."""
        self._questions = 0
        self.state = State.STARTING
        self.started = time.time()
        self.reading: Reading = nothing()
        """The last one it told."""
        self.complaint: str | None = None
        """Why it can't begin, in its own words."""
        self.settled = asyncio.Event()
        """It accepts connections, or never will."""
        self.vacated = asyncio.Event()
        """Its place is free: it has ended or accepts nothing more."""
        self.ended = asyncio.Event()
        self._process = process
        self._channel = channel
        self._answer: asyncio.Future[None] | None = None
        self._reloaded: asyncio.Future[str | None] | None = None
        self._began = time.monotonic()
        self._listening = held.spawn(self._listen(), name=f"channel to {name}")
        self._watching = held.spawn(self._watch(), name=f"end of {name}")

    @classmethod
    async def begin(
        cls,
        name: str,
        settings: Settings,
        listening: socket.socket,
        held: Background,
        place: int,
        purged: Callable[[], tuple[list[tuple[Purge, float]], list[int]]],
        heard: Heard,
        shared: SharedMemory,
    ) -> "WorkerProcess":
        """Start a process that accepts on *listening*; raises OSError.

        It counts the purges that it begins at *place*; *purged* tells what was purged before its
        time, and how many purges of each place that includes; *heard* is called with it and the
        purges that it noted first; *shared* is what all workers share.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                settings.worker_module,
                str(theirs.fileno()),
                str(listening.fileno()),
                *(str(each) for each in shared.descriptors),
                stdin=DEVNULL,
                pass_fds=(theirs.fileno(), listening.fileno(), *shared.descriptors),
                # Ctrl-C in a terminal reaches the whole process group; the workers hear
                # of it from the supervisor, in order.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        channel = await Channel.over(ours)
        history, counts = purged()
        channel.send(Begin(settings, name, history, place, counts))
        return cls(name, process, channel, held, heard, place)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._began

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        status = self._process.returncode
        if status is not None and status < 0:
            try:
                return f"was ended by {signal.Signals(-status).name}"
            except ValueError:
                return f"was ended by signal {-status}"
        return f"ended with exit status {status}"

    async def ask(self, limit: float) -> None:
        """Renew `reading`; after *limit* seconds of silence the last one stands."""
        if self.state not in {State.ACCEPTING, State.DRAINING}:
            return
        # One question at a time: a worker that hangs isn't sent one a second for hours.
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self._channel.send(Ask())
        await asyncio.wait([self._answer], timeout=limit)

    async def reload(self, settings: Settings, limit: float) -> str | None:
        """Tell it to go by *settings*; return why it can't, None when it does.

        A worker that is silent for *limit* seconds can't.
        """
        if self.state is not State.ACCEPTING:
            return None
        self._reloaded = asyncio.get_running_loop().create_future()
        self._channel.send(Reload(settings))
        await asyncio.wait([self._reloaded], timeout=limit)
        if not self._reloaded.done():
            return f"{self.name} said nothing for {limit:.0f} seconds"
        return self._reloaded.result()

    def tell(self, purges: list[Purge], place: int) -> None:
        """Tell it about *purges* that began at *place*, without waiting for its word."""
        self._channel.send(PurgeNow(0, purges, place))

    async def purge(self, purges: list[Purge], place: int, at: float | None, limit: float) -> bool:
        """Tell it about *purges*; False when it didn't say in *limit* seconds that it knows.

        One that has ended uses nothing any more, and one that begins uses nothing yet.
        """
        if self.state is State.ENDED:
            return True
        answer = await self._question(lambda number: PurgeNow(number, purges, place, at), limit)
        return answer.done()

    async def peek(self, key: bytes, limit: float) -> list[Variant] | None:
        """Return what it has stored under *key*; None when it didn't say in *limit* seconds."""
        if self.state not in {State.ACCEPTING, State.DRAINING}:
            return None
        answer = await self._question(lambda number: Peek(number, key), limit)
        return cast("list[Variant] | None", answer.result()) if answer.done() else None

    async def look(self, most: int, limit: float) -> Looked | None:
        """Return what it has noticed about its *most* busy URLs; None when it didn't say in time.

        *limit* is in seconds.
        """
        if self.state not in {State.ACCEPTING, State.DRAINING}:
            return None
        answer = await self._question(lambda number: Look(number, most), limit)
        return cast("Looked | None", answer.result()) if answer.done() else None

    async def _question(
        self, make: Callable[[int], ToWorker], limit: float
    ) -> asyncio.Future[object]:
        """Send what *make* returns for a number; return its answer, done when one came.

        Nobody waits for longer than *limit* seconds.
        """
        self._questions += 1
        number = self._questions
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._channel.send(make(number))
        try:
            await asyncio.wait([answer], timeout=limit)
        finally:
            self._asked.pop(number, None)
        return answer

    def drain(self) -> None:
        """Tell it to finish what runs and end."""
        if self.state is not State.ENDED:
            self.state = State.DRAINING
            self._channel.send(Drain())

    def reopen(self) -> None:
        """Tell it to open its access log anew."""
        self._channel.send(Reopen())

    def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _listen(self) -> None:
        while (message := await self._channel.receive()) is not None:
            match message:
                case Ready():
                    if self.state is State.STARTING:
                        self.state = State.ACCEPTING
                    self.settled.set()
                case Failed(text) if self.state is State.STARTING:
                    self.complaint = text
                case Failed(text):
                    self._took_rules(text)
                case Reloaded():
                    self._took_rules(None)
                case Purged(number):
                    self._answer_to(number, None)
                case Peeked(number, variants):
                    self._answer_to(number, variants)
                case Seen(number, looked):
                    self._answer_to(number, looked)
                case Spread(purges):
                    self._heard(self, purges)
                case Passed(spent):
                    self.on_passed(spent)
                case Retiring():
                    self.state = State.DRAINING
                    self.vacated.set()
                case Told(reading):
                    self.reading = reading
                    self._answered()
                case _:
                    # Whoever speaks nonsense can't be supervised; a new one can.
                    self.kill()
                    return

    async def _watch(self) -> None:
        await self._process.wait()
        await asyncio.wait([self._listening], timeout=_LAST_WORDS)
        await self._channel.close()
        self.state = State.ENDED
        self._answered()
        # Whoever takes its place begins with the rules in force, and knows what was purged.
        self._took_rules(None)
        for number in tuple(self._asked):
            self._answer_to(number, None)
        self.settled.set()
        self.vacated.set()
        self.ended.set()

    def _took_rules(self, complaint: str | None) -> None:
        if self._reloaded is not None and not self._reloaded.done():
            self._reloaded.set_result(complaint)

    def _answer_to(self, number: int, told: object) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(told)

    def _answered(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self._answer = None
