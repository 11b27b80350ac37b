"""The life of a worker process: begin, serve, drain, end.

A fresh process, not a fork, with three inherited descriptors: its end of the channel, the
listening socket of its place and the table of rate limits. It ends in order on the
supervisor's word, on SIGTERM, or when the channel closes because the supervisor is gone; so
no worker is left behind.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import uvloop

from gateway.background import Background
from gateway.control import log
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import (
    Ask,
    Begin,
    Channel,
    Drain,
    Failed,
    Look,
    Message,
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
    Variant,
)
from gateway.control.shared import SharedMemory
from gateway.counters import Counters, Reading
from gateway.edge.insight import Looked
from gateway.errors import ConfigurationError
from gateway.storage.purges import Purge

_log = logging.getLogger(__name__)


class DataPlane(Protocol):
    """What a worker runs; `edge/gateway.py` is the real one."""

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on *listening*."""

    async def reload(self, settings: Settings) -> None:
        """Go by the rules of *settings* from now on; raises ConfigurationError."""

    def purge(self, purges: list[Purge], place: int, at: float | None) -> None:
        """Use nothing any more that *purges*, which began at *place*, forbid.

        What was asked for before *at* (epoch seconds) is meant; None is before now.
        """

    def stored(self, key: bytes) -> list[Variant]:
        """Return what is stored under the cache key *key*, newest first."""

    def looked(self, most: int) -> Looked:
        """Return what was noticed about the *most* busy URLs."""

    def remember(self, purged: list[tuple[Purge, float]]) -> None:
        """Note what was purged before we began, and when (epoch seconds)."""

    def share(self, shared: SharedMemory, place: int, counts: list[int]) -> None:
        """Be one with the workers that have *shared*, too; to be called before `start`.

        Purges that begin here are counted at *place*; *counts* says how many of each place are
        known already.
        """

    def announce_to(self, tell: Callable[[list[Purge]], None]) -> None:
        """Call *tell* with each purge that begins here, for the others to hear."""

    def report_to(self, tell: Callable[[list[tuple[str, bytes, int]]], None]) -> None:
        """Call *tell* with what passed rate limits that replicas keep together."""

    async def drain(self, limit: float) -> None:
        """Accept nothing more, let running exchanges finish for *limit* seconds, close."""

    def reading(self) -> Reading:
        """Return what was counted."""


Build = Callable[[Settings, Counters, AccessLogFile | None], DataPlane]
"""Makes the data plane; raises ConfigurationError."""


def main(build: Build) -> int:
    """Run this process as a worker; return its exit status."""
    end = socket.socket(fileno=int(sys.argv[1]))
    listening = socket.socket(fileno=int(sys.argv[2]))
    shared = SharedMemory(*(int(each) for each in sys.argv[3:]))
    return uvloop.run(_live(end, listening, shared, build))


async def _live(
    end: socket.socket, listening: socket.socket, shared: SharedMemory, build: Build
) -> int:
    channel = await Channel.over(end)
    begin = await channel.receive()
    if not isinstance(begin, Begin):
        return 1
    log.configure(begin.name)
    settings = begin.settings
    stop = asyncio.Event()
    # The loop runs before the signal is handled: until here SIGTERM ends the process as
    # it stands, and nothing is lost, because nothing was accepted.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    counters = Counters()
    access_log: AccessLogFile | None = None
    try:
        if settings.access_log is not None:
            access_log = AccessLogFile(settings.access_log, counters)
        plane = build(settings, counters, access_log)
        plane.remember(begin.purged)
        plane.share(shared, begin.place, begin.counts)
        plane.announce_to(lambda purges: channel.send(Spread(purges)))
        plane.report_to(lambda spent: channel.send(Passed(spent)))
        await plane.start(listening)
    except ConfigurationError as error:
        return await _give_up(channel, str(error))
    except Exception as error:
        _log.exception("cannot begin")
        return await _give_up(channel, f"a worker cannot begin: {log.told(error)}")
    return await _Serving(channel, plane, access_log, stop).run(settings.drain_limit)


class _Serving:
    """A worker from its first connection to its end."""

    def __init__(
        self,
        channel: Channel,
        plane: DataPlane,
        access_log: AccessLogFile | None,
        stop: asyncio.Event,
    ) -> None:
        self._channel = channel
        self._plane = plane
        self._access_log = access_log
        self._stop = stop
        self._asked = False
        """Whether it was the supervisor that told us to end."""

    async def run(self, drain_limit: float) -> int:
        """Serve until told to end; return the exit status."""
        self._channel.send(Ready())
        held = Background()
        held.spawn(self._listen(), name="channel to the supervisor")
        await self._stop.wait()
        if not self._asked:
            # Told before draining, so that another worker takes our place meanwhile.
            self._channel.send(Retiring())
        await self._plane.drain(drain_limit)
        if self._access_log is not None:
            await self._access_log.close()
        await held.close()
        self._channel.send(Told(self._plane.reading()))
        await self._channel.close()
        return 0

    async def _listen(self) -> None:
        """Obey the supervisor until it is gone; while draining, too."""
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Reload):
                await self._reload(message.settings)
            else:
                self._obey(message)
        if not self._stop.is_set():
            _log.warning("the supervisor is gone; ending after what runs")
            self._asked = True
            self._stop.set()

    async def _reload(self, settings: Settings) -> None:
        try:
            await self._plane.reload(settings)
        except ConfigurationError as error:
            self._channel.send(Failed(str(error)))
        except Exception as error:
            _log.exception("cannot take the new rules")
            self._channel.send(Failed(f"cannot take the new rules: {log.told(error)}"))
        else:
            self._channel.send(Reloaded())

    def _obey(self, message: Message) -> None:
        match message:
            case Ask():
                self._channel.send(Told(self._plane.reading()))
            case Drain():
                self._asked = True
                self._stop.set()
            case PurgeNow(number, purges, place, at):
                self._plane.purge(purges, place, at)
                if number:
                    self._channel.send(Purged(number))
            case Peek(number, key):
                self._channel.send(Peeked(number, self._plane.stored(key)))
            case Look(number, most):
                self._channel.send(Seen(number, self._plane.looked(most)))
            case Reopen():
                if self._access_log is not None:
                    self._access_log.reopen()
            case _:
                _log.error("the supervisor said %s, as only workers do", type(message).__name__)


async def _give_up(channel: Channel, text: str) -> int:
    channel.send(Failed(text))
    await channel.close()
    return 1
