"""A pool before a scripted endpoint, with a clock that goes on when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.background import Background
from gateway.clock import Watch
from gateway.counters import Counters
from gateway.errors import GatewayError
from gateway.origin.pool import OriginPool
from gateway.origin.request import OriginRequest
from gateway.origin.settings import Endpoint as Address
from gateway.origin.settings import OriginSettings, Timeouts
from gateway.origin.upload import Upload
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import ResponseHead
from tests.doubles.endpoint import Endpoint
from tests.doubles.origin import PATIENCE

NAME = "hub"


class Answer:
    """What came back for one request: a `ResponseTaker` that remembers and lets tests wait."""

    def __init__(self) -> None:
        self.interims: list[int] = []
        self.head: ResponseHead | None = None
        self.framing: Framing | None = None
        self.body = b""
        self.trailers: Fields = NONE
        self.failure: GatewayError | None = None
        self.whole = False
        """It came in one step."""
        self.complete = False
        self.after_the_end: list[str] = []
        """What was told when nothing more should have been."""
        self.forwarded: OriginRequest
        self.pause_on_piece = False
        """Pause from within `take_piece`, as a reader without room does."""
        self._changed = asyncio.Event()

    def _note(self, what: str) -> None:
        if self.complete or self.failure is not None:
            self.after_the_end.append(what)
        self._changed.set()

    @property
    def over(self) -> bool:
        return self.complete or self.failure is not None

    @property
    def status(self) -> int | None:
        return None if self.head is None else self.head.status

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        self._note("whole")
        assert self.head is None
        self.head, self.framing, self.body = head, body, data
        self.whole = self.complete = True

    def take_interim(self, head: ResponseHead) -> None:
        self._note("interim")
        self.interims.append(head.status)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        self._note("head")
        assert self.head is None
        self.head, self.framing = head, body

    def take_piece(self, data: bytes) -> None:
        self._note("piece")
        assert self.head is not None
        assert data
        self.body += data
        if self.pause_on_piece:
            self.forwarded.pause()

    def take_break(self) -> None:
        """Nothing is held back here."""

    def take_end(self, trailers: Fields) -> None:
        self._note("end")
        assert self.head is not None
        self.trailers = trailers
        self.complete = True

    def take_failure(self, error: GatewayError) -> None:
        self._note("failure")
        self.failure = error

    async def until_over(self) -> "Answer":
        async with asyncio.timeout(PATIENCE):
            while not self.over:
                self._changed.clear()
                await self._changed.wait()
        return self

    async def until_received(self, count: int) -> None:
        """Wait until *count* bytes of the body are there."""
        async with asyncio.timeout(PATIENCE):
            while len(self.body) < count:
                assert not self.over, self.failure
                self._changed.clear()
                await self._changed.wait()

    async def until_head(self) -> ResponseHead:
        async with asyncio.timeout(PATIENCE):
            while self.head is None:
                assert not self.over, self.failure
                self._changed.clear()
                await self._changed.wait()
        return self.head

    async def until_interims(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.interims) < count:
                assert not self.over, self.failure
                self._changed.clear()
                await self._changed.wait()


class Client:
    """Where an upload comes from; counts how often it was told to pause."""

    def __init__(self) -> None:
        self._paused = False
        self.pauses = 0
        self._resumed = asyncio.Event()

    def pause_upload(self) -> None:
        self._paused = True
        self.pauses += 1
        self._resumed.clear()

    def resume_upload(self) -> None:
        self._paused = False
        self._resumed.set()

    def held(self) -> bool:
        """Return whether it was told to pause, and not to go on since."""
        return self._paused

    async def until_resumed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self._paused:
                await self._resumed.wait()


async def until(true: Callable[[], bool]) -> None:
    """Let the loop turn until *true*, for what tells nobody that it changed."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


@dataclass(slots=True)
class World:
    """One pool and what is around it."""

    pool: OriginPool
    watch: Watch
    counters: Counters
    background: Background
    answers: list[Answer] = field(default_factory=list)
    now: float = 1000.0
    """Monotonic seconds."""

    def monotonic(self) -> float:
        return self.now

    def send(
        self,
        method: str = "GET",
        path: str = "/",
        fields: bytes = b"",
        upload: Upload | None = None,
    ) -> Answer:
        """Forward a request; the answer is not there yet."""
        answer = Answer()
        self.answers.append(answer)
        head = f"{method} {path} HTTP/1.1\r\nHost: hub.test\r\n".encode() + fields + b"\r\n"
        answer.forwarded = self.pool.request(method.encode(), head, upload, answer)
        return answer

    async def ask(self, method: str = "GET", path: str = "/") -> Answer:
        """Forward a request and wait for what becomes of it."""
        return await self.send(method, path).until_over()

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on, and whatever is late by then be told so."""
        self.now += seconds
        self.watch.sweep(self.now)

    async def until_open(self, count: int) -> None:
        """Wait until the pool counts *count* connections."""
        await until(lambda: self.counters.origin_connections_open == count)

    @property
    def failures(self) -> dict[str, int]:
        """How many exchanges failed, by reason."""
        return dict(self.counters.origin_failures[NAME])


@asynccontextmanager
async def pool_before(
    endpoint: Endpoint | Address,
    *,
    max_connections: int = 256,
    max_waiting: int = 1024,
    timeouts: Timeouts | None = None,
    host: str | None = None,
) -> AsyncIterator[World]:
    """Yield a world whose pool leads to *endpoint*; what was told twice fails the test."""
    address = endpoint if isinstance(endpoint, Address) else Address("127.0.0.1", endpoint.port)
    settings = OriginSettings(
        NAME,
        (address,),
        timeouts or Timeouts(),
        host,
        max_connections=max_connections,
        max_waiting=max_waiting,
    )
    watch, counters, background = Watch(1000.0), Counters(), Background()
    pool = OriginPool(settings, address, watch, counters, background, lambda: world.now)
    world = World(pool, watch, counters, background)
    try:
        yield world
    finally:
        for answer in world.answers:
            answer.forwarded.abandon()
        # Let connections that are being opened arrive, so that all can be counted.
        await until(lambda: not background)
        pool.close_idle()
        await world.until_open(0)
    for answer in world.answers:
        assert not answer.after_the_end
