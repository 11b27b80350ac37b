"""A response on its way to a client: its head composed, its body framed, its end told.

The body is framed anew for each client: by its length when that is known, else in chunks,
and for an HTTP/1.0 client by closing the connection (RFC 9112 section 6.3).
"""

from typing import Protocol

from gateway.policy.outcome import Word
from gateway.policy.ranges import Piece
from gateway.wire import dates
from gateway.wire.fields import FieldLine, Fields
from gateway.wire.framing import LAST_CHUNK


class ReplyWriter(Protocol):
    """The client's connection, as a reply sees it."""

    def write(self, data: Piece) -> None:
        """Send *data*; buffers without bound, so look at the connection's room first."""

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces* in one go."""


def encode_lines(lines: tuple[FieldLine, ...]) -> bytes:
    """Return field *lines* as they go over the wire."""
    return b"".join([b"%b: %b\r\n" % (name, value) for _, name, value in lines])


def compose(
    status: int,
    reason: bytes,
    lines: tuple[FieldLine, ...],
    word: Word,
    cache_status: bytes,
    now: float,
) -> bytes:
    """Return a response head, all but the fields that frame its body and the empty line."""
    head = b"HTTP/1.1 %d %b\r\n%bX-Cache: %b\r\nCache-Status: %b\r\n" % (
        status,
        reason,
        encode_lines(lines),
        word.encode(),
        cache_status,
    )
    if not any(name == b"date" for name, _, _ in lines):
        # RFC 9110 section 6.6.1: whoever forwards a response without Date says when it came.
        head += b"Date: %b\r\n" % dates.format(now)
    return head


_JOINED_BYTES = 16 * 1024
"""Pieces up to this size together are copied into one, which is cheaper to send."""


class Reply:
    """One response in the framing that suits the client.

    What is given to it is held back until `flush`, so that a head and the body that came
    with it leave in one packet: a write is a system call at once.
    """

    __slots__ = ("_chunked", "_pending", "_pending_bytes", "_silent", "_writer", "body_bytes",
                 "ends_with_connection", "head", "persistent", "started", "status")  # fmt: skip

    def __init__(self, writer: ReplyWriter, *, persistent: bool) -> None:
        self._writer = writer
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._chunked = False
        self._silent = False
        self.persistent = persistent
        """Whether the connection goes on after this response."""
        self.ends_with_connection = False
        """Whether nothing but the connection's end tells the client where the body ends."""
        self.head = b""
        """As it was sent."""
        self.started = False
        self.status = 0
        self.body_bytes = 0

    def start(
        self, head: bytes, status: int, length: int | None, *, minor: int, bodiless: bool
    ) -> None:
        """Send *head* with the framing of a body of *length* bytes; None when not known.

        *bodiless* is for HEAD, where *length* tells what GET would have brought, and for
        statuses that never have a body.
        """
        self.started = True
        self.status = status
        self._silent = bodiless
        if length is not None:
            framed = b"Content-Length: %d\r\n" % length
        elif bodiless:
            framed = b""
        elif minor == 1:
            self._chunked = True
            framed = b"Transfer-Encoding: chunked\r\n"
        else:
            self.persistent = False
            self.ends_with_connection = True
            framed = b""
        if not self.persistent:
            framed += b"Connection: close\r\n"
        elif minor == 0:
            framed += b"Connection: keep-alive\r\n"
        self.head = b"%b%b\r\n" % (head, framed)
        self._send(self.head)

    def piece(self, data: Piece) -> None:
        """Send some of the body."""
        if self._silent or not data:
            return
        self.body_bytes += len(data)
        if self._chunked:
            # Not copied into a chunk: its head and end go beside it.
            self._pending += (b"%x\r\n" % len(data), data, b"\r\n")
            self._pending_bytes += len(data) + 8
        else:
            self._send(data)

    def end(self, trailers: Fields) -> None:
        """Send what ends the body; *trailers* go with chunks only."""
        if self._chunked:
            if len(trailers):
                self._send(b"0\r\n%b\r\n" % trailers.encode())
            else:
                self._send(LAST_CHUNK)
        self.flush()

    def _send(self, data: Piece) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)

    def flush(self) -> None:
        """Let go of what was held back."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        if len(pending) == 1:
            self._writer.write(pending[0])
        elif self._pending_bytes <= _JOINED_BYTES:
            self._writer.write(b"".join(pending))
        else:
            self._writer.write_pieces(pending)
        self._pending_bytes = 0
