"""A client that speaks HTTP/2 over TLS, by the library h2, and can misbehave."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from tests.doubles.origin import PATIENCE

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """What came on one stream so far."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    interim: list[dict[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", "0"))


class Http2Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.answers: dict[int, Answer] = {}
        self.goodbye: int | None = None
        """The error code of the server's GOAWAY."""
        self.closed = False
        self.pending = b""
        self.takes_data = True
        """Whether the windows are opened again for what came."""
        self.frames = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.frames.initiate_connection()

    @classmethod
    async def connect(
        cls, address: tuple[str, int], context: ssl.SSLContext, name: str
    ) -> "Http2Client":
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if chosen != "h2":
            writer.transport.abort()
            raise ConnectionError(f"the server chose {chosen}")
        client = cls(reader, writer)
        await client.flush()
        return client

    async def flush(self) -> None:
        self.writer.write(self.frames.data_to_send())
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    def head(self, target: str, method: str = "GET", **fields: str) -> Headers:
        pairs = [
            (":method", method),
            (":scheme", "https"),
            (":authority", fields.pop("authority", "hub.test")),
            (":path", target),
            *((name.replace("_", "-"), value) for name, value in fields.items()),
        ]
        return [(name.encode(), value.encode()) for name, value in pairs]

    async def ask(
        self, target: str, method: str = "GET", *, end: bool = True, **fields: str
    ) -> int:
        return await self.send_head(self.head(target, method, **fields), end=end)

    async def send_head(self, headers: Headers, *, end: bool = True) -> int:
        number = self.frames.get_next_available_stream_id()
        self.answers[number] = Answer()
        self.frames.send_headers(number, headers, end_stream=end)
        await self.flush()
        return number

    async def send_body(self, number: int, body: bytes) -> None:
        """Send all of a body, as the server lets it through."""
        while body:
            window = min(
                self.frames.local_flow_control_window(number), self.frames.max_outbound_frame_size
            )
            if window:
                self.frames.send_data(number, body[:window])
                body = body[window:]
                await self.flush()
            else:
                await self.step()
        self.frames.send_data(number, b"", end_stream=True)
        await self.flush()

    async def get(self, target: str, method: str = "GET", **fields: str) -> Answer:
        return await self.answer(await self.send_head(self.head(target, method, **fields)))

    async def answer(self, number: int) -> Answer:
        """Return what came on a stream, once it is over."""
        answer = self.answers[number]
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert not self.closed, f"closed, goodbye {self.goodbye}"
                await self.step()

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.closed:
                await self.step()

    async def step(self) -> None:
        """Take what comes next."""
        try:
            data = await self.reader.read(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.frames.receive_data(self._without_goodbye(data)):
            answer = self.answers.get(getattr(event, "stream_id", None) or 0)
            match event:
                case ConnectionTerminated():
                    self.goodbye = int(event.error_code or 0)
                case InformationalResponseReceived() if answer is not None:
                    answer.interim.append(_text(event.headers))
                case ResponseReceived() if answer is not None:
                    answer.headers = _text(event.headers)
                case TrailersReceived() if answer is not None:
                    answer.trailers = _text(event.headers)
                case DataReceived() if answer is not None:
                    answer.body += event.data or b""
                    if self.takes_data and event.flow_controlled_length:
                        number = event.stream_id or 0
                        self.frames.acknowledge_received_data(event.flow_controlled_length, number)
                case StreamEnded() if answer is not None:
                    answer.ended = True
                case StreamReset() if answer is not None:
                    answer.reset = int(event.error_code or 0)
                case _:
                    pass
        if not self.closed:
            self.writer.write(self.frames.data_to_send())

    def _without_goodbye(self, data: bytes) -> bytes:
        """Return the whole frames in *data*, less a friendly GOAWAY.

        The library would take no answers after one, which RFC 9113 section 6.8 allows.
        """
        self.pending += data
        whole = b""
        while len(self.pending) >= 9:
            size = 9 + int.from_bytes(self.pending[:3], "big")
            if len(self.pending) < size:
                break
            frame, self.pending = self.pending[:size], self.pending[size:]
            if frame[3] == 7 and frame[13:17] == bytes(4):
                self.goodbye = 0
            else:
                whole += frame
        return whole

    def close(self) -> None:
        self.writer.transport.abort()


def _text(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
