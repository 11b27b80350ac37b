"""The life of a worker process: begin, serve, drain, end.

A fresh process, not a fork, with two inherited descriptors: its end of the channel and
the listening socket of its place. It ends in order on the supervisor's word, on SIGTERM,
or when the channel closes because the supervisor is gone; so no worker is left behind.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import uvloop

from gateway.background import HeldTasks
from gateway.control import log
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import (
    Ask,
    Begin,
    Channel,
    Drain,
    Failed,
    Message,
    Ready,
    Reopen,
    Retiring,
    Settings,
    Told,
)
from gateway.counters import Counters, Reading
from gateway.errors import ConfigurationError

_log = logging.getLogger(__name__)


class DataPlane(Protocol):
    """What a worker runs; `edge/gateway.py` is the real one."""

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on *listening*."""

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
    return uvloop.run(_live(end, listening, build))


async def _live(end: socket.socket, listening: socket.socket, build: Build) -> int:
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
        await plane.start(listening)
    except ConfigurationError as error:
        return await _give_up(channel, str(error))
    except Exception as error:
        _log.exception("cannot begin")
        return await _give_up(channel, f"a worker cannot begin: {log.told(error)}")
    channel.send(Ready())

    held = HeldTasks()
    asked_to_end = asyncio.Event()
    held.start(
        _listen(channel, plane, access_log, stop, asked_to_end), name="channel to the supervisor"
    )
    await stop.wait()
    if not asked_to_end.is_set():
        # Told before draining, so that another worker takes our place meanwhile.
        channel.send(Retiring())
    await plane.drain(settings.drain_limit)
    if access_log is not None:
        await access_log.close()
    await held.close()
    channel.send(Told(plane.reading()))
    await channel.close()
    return 0


async def _give_up(channel: Channel, text: str) -> int:
    channel.send(Failed(text))
    await channel.close()
    return 1


async def _listen(
    channel: Channel,
    plane: DataPlane,
    access_log: AccessLogFile | None,
    stop: asyncio.Event,
    asked_to_end: asyncio.Event,
) -> None:
    """Answer the supervisor until it is gone; while draining, too."""
    while (message := await channel.receive()) is not None:
        _obey(message, channel, plane, access_log, stop, asked_to_end)
    if not stop.is_set():
        _log.warning("the supervisor is gone; ending after what runs")
    asked_to_end.set()
    stop.set()


def _obey(
    message: Message,
    channel: Channel,
    plane: DataPlane,
    access_log: AccessLogFile | None,
    stop: asyncio.Event,
    asked_to_end: asyncio.Event,
) -> None:
    match message:
        case Ask():
            channel.send(Told(plane.reading()))
        case Drain():
            asked_to_end.set()
            stop.set()
        case Reopen():
            if access_log is not None:
                access_log.reopen()
        case _:
            _log.error("the supervisor said %s, which only workers say", type(message).__name__)
