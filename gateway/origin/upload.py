"""A request body on its way from a client to an origin, with back-pressure.

The client's connection feeds it, the origin's takes from it. Between them is one bounded
buffer: when it is full the client is read no further, when the origin takes again, it is.
"""

from collections import deque
from typing import Protocol

from gateway.wire.framing import LAST_CHUNK, Chunked, Framing, chunk

HIGH_WATER_BYTES = 256 * 1024


class UploadSource(Protocol):
    """Where a body comes from."""

    def pause_upload(self) -> None:
        """Send no more for now."""

    def resume_upload(self) -> None:
        """Go on sending; also asked for when a client waits for 100 (Continue)."""


class UploadTaker(Protocol):
    """Where a body goes to."""

    def write_body(self, data: bytes) -> None:
        """Send *data*, already framed."""

    def body_ended(self) -> None:
        """All of the body was sent."""


class Upload:
    """One request body; `Sized` bodies go as they are, chunked ones in chunks of our own."""

    __slots__ = ("_pieces", "_source", "_taker", "_waiting_bytes", "ended", "framing", "taken",
                 "taker_full")  # fmt: skip

    def __init__(self, framing: Framing, source: UploadSource) -> None:
        self.framing = framing
        self.ended = False
        """The whole body arrived from the client."""
        self.taken = False
        """Some of it went to an origin, so that it can't be sent again."""
        self.taker_full = False
        self._source = source
        self._taker: UploadTaker | None = None
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Take a *piece* of the body from the client."""
        if self._taker is not None and not self.taker_full:
            self._send(piece)
            return
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= HIGH_WATER_BYTES or self.taker_full:
            self._source.pause_upload()

    def end(self) -> None:
        """Note that the client has sent all of it."""
        self.ended = True
        if self._taker is not None and not self._pieces:
            self._finish()

    def attach(self, taker: UploadTaker) -> None:
        """Let the body flow to *taker*, beginning with what waits."""
        self._taker = taker
        self._flush()

    def detach(self) -> None:
        """Let nothing flow any more; what waits is kept for another taker."""
        self._taker = None

    def pause(self) -> None:
        """Note that the taker's buffers are full."""
        self.taker_full = True
        self._source.pause_upload()

    def resume(self) -> None:
        """Note that the taker has room again."""
        self.taker_full = False
        if self._taker is None:
            # All of it was sent: whoever was paused at the last piece is read again, or
            # it would go unnoticed that the client hangs up.
            self._source.resume_upload()
        self._flush()

    def _flush(self) -> None:
        while self._pieces and self._taker is not None and not self.taker_full:
            piece = self._pieces.popleft()
            self._waiting_bytes -= len(piece)
            self._send(piece)
        if self._taker is None or self._pieces or self.taker_full:
            return
        if self.ended:
            self._finish()
        else:
            self._source.resume_upload()

    def _send(self, piece: bytes) -> None:
        assert self._taker is not None
        self.taken = True
        chunked = isinstance(self.framing, Chunked)
        self._taker.write_body(chunk(piece) if chunked else piece)

    def _finish(self) -> None:
        taker, self._taker = self._taker, None
        assert taker is not None
        if isinstance(self.framing, Chunked):
            self.taken = True
            taker.write_body(LAST_CHUNK)
        taker.body_ended()
