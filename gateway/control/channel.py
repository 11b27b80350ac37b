"""What the supervisor and a worker say to one another, and how.

A socket pair, a length before each message, msgpack inside. Either side learns of the
other's death by the end of the stream, which the kernel sends even after SIGKILL.
"""

import asyncio
import socket
from typing import TypeAlias

import msgspec

from gateway.control.addresses import Address
from gateway.counters import Reading
from gateway.edge.insight import Looked
from gateway.storage.purges import Purge

_PREFIX_BYTES = 4
_MESSAGE_LIMIT = 64 << 20


class Settings(msgspec.Struct, frozen=True):
    """What `gateway serve` was asked to do."""

    rules: str
    """The path as it was typed."""
    rules_text: bytes | None = None
    """What was read there and found good; None reads it again. A worker that takes another's
    place goes by the rules in force, whatever the file says by then."""
    included: dict[str, bytes] | None = None
    """What was read in the files that the rules include, by path; None reads it again."""
    listen: Address = Address("127.0.0.1", 8080)
    admin: Address = Address("127.0.0.1", 8081)
    workers: int = 1
    origin: str | None = None
    """Replaces the servers of the default origin; None keeps those of the rules."""
    state_dir: str = ".state"
    access_log: str | None = None
    """A path, ``-`` for stdout, None for no access log."""
    drain_limit: float = 30.0
    """Seconds that running exchanges get when a worker is told to end."""
    worker_module: str = "gateway.control.worker_main"
    """The module that a worker process runs."""


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first message to a worker."""

    settings: Settings
    name: str
    purged: list[tuple[Purge, float]] = []
    """What was purged before its time, and when (epoch seconds)."""
    place: int = 0
    """Where it counts the purges that it begins."""
    counts: list[int] = []
    """How many purges of each place are in *purged*."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Asks a worker for its reading."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Tells a worker to finish what runs and end."""


class Reopen(msgspec.Struct, frozen=True, tag="reopen"):
    """Tells a worker that its access log was renamed and is to be opened anew."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Tells a worker to go by other rules from now on."""

    settings: Settings


class PurgeNow(msgspec.Struct, frozen=True, tag="purge"):
    """Tells a worker about purges that began elsewhere."""

    number: int
    """What its answer names; 0 wants none."""
    purges: list[Purge]
    place: int = 0
    """Where they began, and were counted."""
    at: float | None = None
    """What was asked for before is meant (epoch seconds); None is before this is heard."""


class Purged(msgspec.Struct, frozen=True, tag="purged"):
    """A worker uses nothing any more that a purge forbids."""

    number: int


class Peek(msgspec.Struct, frozen=True, tag="peek"):
    """Asks a worker what it has stored under a cache key."""

    number: int
    """What its answer names."""
    key: bytes


class Variant(msgspec.Struct, frozen=True):
    """A stored response, as people are told about it; durations are seconds."""

    status: int
    bytes: int
    """Of its body."""
    age: float
    fresh_for: float
    """Negative once it is stale."""
    invalid: bool
    """Whether it must be validated before its next use, whatever its age."""
    route: str
    """The route that stored it."""
    groups: list[str]
    vary: dict[str, str | None]
    """The request fields that it depends on, with the values that it is for."""


class Peeked(msgspec.Struct, frozen=True, tag="peeked"):
    """What a worker has stored under the key that it was asked about."""

    number: int
    variants: list[Variant]


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Asks a worker what it has noticed about its busiest URLs."""

    number: int
    """What its answer names."""
    most: int


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """What a worker has noticed."""

    number: int
    looked: Looked


class Spread(msgspec.Struct, frozen=True, tag="spread"):
    """A worker has noted purges that the others don't know of yet."""

    purges: list[Purge]


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded"):
    """A worker goes by the rules that it was told."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A worker accepts connections."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A worker can't begin, or can't take new rules; *text* is for the operator."""

    text: str


class Passed(msgspec.Struct, frozen=True, tag="passed"):
    """Tells what passed rate limits that replicas keep together."""

    spent: list[tuple[str, bytes, int]]
    """(name of the limit, who asked, how many requests)."""


class Retiring(msgspec.Struct, frozen=True, tag="retiring"):
    """A worker accepts nothing more, unasked by the supervisor; its place is free."""


class Told(msgspec.Struct, frozen=True, tag="told"):
    """A worker's reading."""

    reading: Reading


ToWorker: TypeAlias = Begin | Ask | Drain | Reopen | Reload | PurgeNow | Peek | Look
FromWorker: TypeAlias = (
    Ready | Failed | Retiring | Told | Reloaded | Purged | Spread | Peeked | Seen | Passed
)
Message: TypeAlias = ToWorker | FromWorker


class Channel:
    """One end of the conversation."""

    __slots__ = ("_decoder", "_encoder", "_reader", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """Return a channel over one *end* of a socket pair, which it then owns."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Send *message*; after the other side's end it is lost without a sound."""
        if self._writer.is_closing():
            return
        body = self._encoder.encode(message)
        self._writer.write(len(body).to_bytes(_PREFIX_BYTES, "big") + body)

    async def receive(self) -> Message | None:
        """Return the next message; None when the other side is gone."""
        try:
            prefix = await self._reader.readexactly(_PREFIX_BYTES)
            length = int.from_bytes(prefix, "big")
            if length > _MESSAGE_LIMIT:
                return None
            return self._decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError):
            return None

    async def close(self) -> None:
        """Send what was said and close."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return
