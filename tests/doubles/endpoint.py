"""An endpoint that plays a script, one list of steps for each connection, and records.

    endpoint = Endpoint([hears_a_request, says(OK), hears_a_request, resets], [says(OK)])

When a script has ended the connection stays open and is read until the other side closes
it. A connection for which there is no script is a failure, told when the endpoint stops.
"""

import asyncio
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias, cast

from tests.doubles.origin import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One accepted connection."""

    def __init__(
        self, endpoint: "Endpoint", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.endpoint = endpoint
        self.reader = reader
        self.writer = writer
        self.heard = bytearray()
        """Every byte that came and was read."""
        self.ended = asyncio.Event()
        """The other side closed or reset the connection, or we did."""

    @property
    def unsent_bytes(self) -> int:
        """What we said and the network didn't take yet."""
        return self.writer.transport.get_write_buffer_size()

    async def read(self, take: Callable[[asyncio.StreamReader], Awaitable[bytes]]) -> bytes:
        data = await take(self.reader)
        self.heard += data
        self.endpoint.note()
        return data

    async def read_to_the_end(self) -> None:
        while await self.read(lambda reader: reader.read(65536)):
            pass


Step: TypeAlias = Callable[[Peer], Awaitable[None]]


async def hears_a_head(peer: Peer) -> None:
    """Read a request head and not a byte of its body."""
    await peer.read(lambda reader: reader.readuntil(b"\r\n\r\n"))
    peer.endpoint.requests += 1
    peer.endpoint.note()


async def hears_a_request(peer: Peer) -> None:
    """Read a request, its body included."""
    before = len(peer.heard)
    await peer.read(lambda reader: reader.readuntil(b"\r\n\r\n"))
    head = peer.heard[before:].lower()
    length = re.search(rb"\r\ncontent-length: ([0-9]+)", head)
    if length is not None:
        await peer.read(lambda reader: reader.readexactly(int(length[1])))
    elif b"\r\ntransfer-encoding: chunked" in head:
        await peer.read(lambda reader: reader.readuntil(b"0\r\n\r\n"))
    peer.endpoint.requests += 1
    peer.endpoint.note()


async def hears_the_end(peer: Peer) -> None:
    """Read until the other side closes."""
    await peer.read_to_the_end()


def hears(count: int) -> Step:
    """Read *count* bytes."""

    async def step(peer: Peer) -> None:
        await peer.read(lambda reader: reader.readexactly(count))

    return step


def says(*pieces: bytes) -> Step:
    """Send *pieces*, each in a write of its own."""

    async def step(peer: Peer) -> None:
        for piece in pieces:
            peer.writer.write(piece)
            await peer.writer.drain()

    return step


def waits_for(word: str) -> Step:
    """Do nothing, and read nothing, until the test tells *word*."""

    async def step(peer: Peer) -> None:
        transport = cast("asyncio.Transport", peer.writer.transport)
        reading = transport.is_reading()
        transport.pause_reading()
        await peer.endpoint.words[word].wait()
        if reading:
            transport.resume_reading()

    return step


async def stops_reading(peer: Peer) -> None:
    """Take nothing more from the network until the connection ends."""
    cast("asyncio.Transport", peer.writer.transport).pause_reading()


async def closes(peer: Peer) -> None:
    peer.writer.close()
    peer.ended.set()


async def says_no_more(peer: Peer) -> None:
    """Close our half of the connection only."""
    peer.writer.write_eof()


async def resets(peer: Peer) -> None:
    """Send RST, which throws away what is under way in either direction."""
    linger = struct.pack("ii", 1, 0)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    peer.writer.transport.abort()
    peer.ended.set()


class Endpoint:
    """Listens on a free port of 127.0.0.1 as long as it is entered."""

    def __init__(self, *scripts: list[Step]) -> None:
        self._scripts = scripts
        self.peers: list[Peer] = []
        """The connections, in the order in which they were accepted."""
        self.requests = 0
        """How many requests (or heads) were read as steps of a script."""
        self.words: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.port = 0
        self._unexpected = 0
        self._failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    def tell(self, word: str) -> None:
        """Let the steps that wait for *word* go on."""
        self.words[word].set()

    def note(self) -> None:
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something that was heard or accepted makes *true* so."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def ended(self, number: int) -> None:
        """Wait until connection *number*, counted from 0, is closed."""
        await self.until(lambda: len(self.peers) > number)
        async with asyncio.timeout(PATIENCE):
            await self.peers[number].ended.wait()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self._unexpected, f"{self._unexpected} connections more than scripts"
        assert not self._failures, self._failures

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.peers)
        if number >= len(self._scripts):
            self._unexpected += 1
            writer.transport.abort()
            return
        peer = Peer(self, reader, writer)
        self.peers.append(peer)
        self.note()
        task = asyncio.get_running_loop().create_task(self._play(peer, self._scripts[number]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, peer: Peer, script: list[Step]) -> None:
        try:
            for step in script:
                await step(peer)
            if not peer.ended.is_set():
                await peer.read_to_the_end()
        except ConnectionError:
            pass
        except asyncio.IncompleteReadError as error:
            peer.heard += error.partial
        except AssertionError as error:
            self._failures.append(error)
        finally:
            peer.ended.set()
            self.note()
