"""One request of an HTTP/2 connection, as the client of an exchange.

An exchange neither knows nor cares which version its client speaks: here its answer becomes
frames, as many as the client's flow control lets through, and the request's body becomes an
upload, as much as the origin takes.
"""

from collections import deque
from typing import Protocol

from h2.errors import ErrorCodes

from gateway.edge.deliver import Reply
from gateway.edge.exchange import Exchange
from gateway.edge.forwarding import HOP_BY_HOP
from gateway.edge.limits import NEVER, Pace, takes
from gateway.edge.site import Site
from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.origin.upload import Upload
from gateway.policy.ranges import Piece
from gateway.wire.fields import Fields

_ROOM_BYTES = 256 * 1024
"""What may wait for a stream's flow control before its origin is held back."""
HeaderList = list[tuple[bytes, bytes]]


class Frames(Protocol):
    """The connection, as a stream sees it."""

    has_room: bool

    def send_headers(self, stream: "Stream", headers: HeaderList, *, end: bool) -> None:
        """Send a header section."""

    def send_data(self, stream: "Stream", data: bytes, *, end: bool) -> None:
        """Send some of a body; no more than `window` allows."""

    def window(self, stream: "Stream") -> int:
        """Return how many bytes may be sent in one frame now."""

    def acknowledge(self, stream: "Stream", count: int) -> None:
        """Let the client send *count* bytes more."""

    def reset(self, stream: "Stream", code: ErrorCodes) -> None:
        """End a stream before its time."""

    def pump(self) -> None:
        """Send what can be sent."""


class StreamReply(Reply):
    """An answer that becomes frames; what holds for HTTP/1.1's framing is left out."""

    __slots__ = ("_stream",)

    def __init__(self, stream: "Stream", *, persistent: bool) -> None:
        super().__init__(stream, persistent=persistent)
        self._stream = stream

    def start(
        self,
        head: bytes,
        status: int,
        length: int | None,
        *,
        minor: int,  # noqa: ARG002
        bodiless: bool,
    ) -> None:
        """Send *head*, which was composed for HTTP/1.1, as a header section."""
        self.started = True
        self.status = status
        self.head = head
        self._silent = bodiless
        headers = section(head)
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        self._stream.begin_answer(headers, end=bodiless or length == 0)

    def piece(self, data: Piece) -> None:
        """Send some of the body."""
        if self._silent or not data:
            return
        self.body_bytes += len(data)
        self._stream.give(data)

    def end(self, trailers: Fields) -> None:
        """Send what ends the body."""
        self._stream.end_answer(trailers)

    def flush(self) -> None:
        """Let go of what was held back."""
        self._stream.flush()


def section(head: bytes) -> HeaderList:
    """Return the header section that *head*, of HTTP/1.1 and without its empty line, says.

    Less what belongs to connections (RFC 9113 section 8.2.2).
    """
    first, *lines = head.removesuffix(b"\r\n").split(b"\r\n")
    headers = [(b":status", first[9:12])]
    for each in lines:
        if each:
            name, _, value = each.partition(b":")
            lower = name.lower()
            if lower not in HOP_BY_HOP:
                headers.append((lower, value.strip(b" \t")))
    return headers


class Stream:
    """A stream that carries a request and its answer."""

    multiplexed = True
    __slots__ = ("_ending", "_frames", "_held", "_limit", "_pieces", "_queued", "_sent",
                 "_site", "_taken", "_trailers", "_unacknowledged", "address", "answered",
                 "deadline", "exchange", "has_room", "number", "pace", "receiving", "upload",
                 "watched_in")  # fmt: skip

    def __init__(self, site: Site, frames: Frames, number: int, address: bytes) -> None:
        self._site = site
        self._frames = frames
        self.number = number
        self.address = address
        self.has_room = True
        self.exchange: Exchange | None = None
        self.upload: Upload | None = None
        """The body that the request has; None for none."""
        self.receiving = False
        """Whether more of the request is to come."""
        self.pace: Pace | None = None
        self.answered = False
        """Whether everything, its end included, was sent."""
        self._limit = 0
        self._taken = 0
        self._held = False
        self._unacknowledged = 0
        self._pieces: deque[Piece] = deque()
        self._queued = 0
        self._sent = 0
        """Bytes of the body since the deadline was set."""
        self._ending = False
        self._trailers: HeaderList = []
        self.deadline = NEVER
        self.watched_in = 0

    # The request's body.

    def expect_body(self, upload: Upload, limit: int) -> None:
        """Take a body of at most *limit* bytes from now on."""
        now = self._site.monotonic()
        self.upload = upload
        self.receiving = True
        self._limit = limit
        self.pace = Pace(now)
        self._site.watch.set(self, self.pace.deadline(self._site.snapshot.limits, now))

    def take_data(self, data: bytes, flow_bytes: int) -> None:
        """Take some of the body; *flow_bytes* count for flow control, padding included.

        Raises:
            BodyTooLarge: more came than is taken.

        """
        upload = self.upload
        self._unacknowledged += flow_bytes
        self._taken += len(data)
        if self._taken > self._limit:
            self._give_back()
            raise BodyTooLarge(self._limit)
        if self.pace is not None and not self._held and not self._pieces:
            limits = self._site.snapshot.limits
            self.deadline = self.pace.deadline(limits, self._site.monotonic(), len(data))
        if upload is not None and data and self.exchange is not None:
            upload.feed(data)
        if not self._held:
            self._give_back()

    def end_body(self) -> None:
        """Note that the request is complete."""
        self.receiving = False
        if not self._pieces:
            self.deadline = NEVER
        if self.upload is not None and self.exchange is not None:
            self.upload.end()

    def pause_upload(self) -> None:
        """Let the client send no more than it may already."""
        self._held = True
        if self.pace is not None:
            self.pace.hold(self._site.monotonic())
        if not self._pieces:
            self.deadline = NEVER

    def resume_upload(self) -> None:
        """Let it go on."""
        if not self._held:
            return
        self._held = False
        if self.pace is not None and self.receiving:
            now = self._site.monotonic()
            self.pace.release(now)
            self._site.watch.set(self, self.pace.deadline(self._site.snapshot.limits, now))
        self._give_back()

    def _give_back(self) -> None:
        count, self._unacknowledged = self._unacknowledged, 0
        if count:
            self._frames.acknowledge(self, count)

    # The answer, as the exchange makes it.

    def reply(self, *, persistent: bool) -> Reply:
        """Return what an answer is given to."""
        return StreamReply(self, persistent=persistent)

    def write(self, data: Piece) -> None:
        """Send an interim response, written for HTTP/1.1 (RFC 9113 section 8.1)."""
        self._frames.send_headers(self, section(bytes(data).removesuffix(b"\r\n")), end=False)
        self._frames.pump()

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces*, as `write`."""
        self.write(b"".join(pieces))

    def begin_answer(self, headers: HeaderList, *, end: bool) -> None:
        """Send the header section of the answer."""
        self.answered = end
        self._frames.send_headers(self, headers, end=end)

    def give(self, data: Piece) -> None:
        """Have *data* sent as flow control allows."""
        if self.answered:
            return
        if not self._pieces:
            self._sent = 0
            limits = self._site.snapshot.limits
            self._site.watch.set(self, self._site.monotonic() + limits.send_timeout)
        self._pieces.append(data)
        self._queued += len(data)
        if self._queued > _ROOM_BYTES:
            self.has_room = False

    def end_answer(self, trailers: Fields) -> None:
        """Note that nothing more comes."""
        self._ending = True
        self._trailers = [(name, value) for name, _, value in trailers if name not in HOP_BY_HOP]
        self._frames.pump()

    def flush(self) -> None:
        """Send what can be sent."""
        self._frames.pump()

    @property
    def wants_to_send(self) -> bool:
        """Whether anything waits to be sent."""
        return not self.answered and (bool(self._pieces) or self._ending)

    def send_some(self) -> bool:
        """Send one frame, if flow control allows; return whether it did."""
        if not self._pieces:
            if self._trailers:
                self._frames.send_headers(self, self._trailers, end=True)
            else:
                self._frames.send_data(self, b"", end=True)
            self.answered = True
            return True
        window = self._frames.window(self)
        if window <= 0:
            return False
        piece = self._pieces.popleft()
        if len(piece) > window:
            self._pieces.appendleft(memoryview(piece)[window:])
            piece = memoryview(piece)[:window]
        end = self._ending and not self._pieces and not self._trailers
        self._queued -= len(piece)
        self._sent += len(piece)
        self._frames.send_data(self, bytes(piece), end=end)
        self.answered = end
        if not self._pieces:
            self.deadline = NEVER
        return True

    def make_room(self) -> None:
        """Let the exchange go on once enough was sent."""
        if not self.has_room and self._queued <= _ROOM_BYTES // 2 and self._frames.has_room:
            self.has_room = True
            if self.exchange is not None:
                self.exchange.room()

    def finished(self, *, persistent: bool) -> None:  # noqa: ARG002
        """Note that the answer is complete; the connection goes on in any case."""
        self.exchange = None
        self._frames.pump()

    def break_off(self) -> None:
        """Reset the stream, so that the answer isn't taken for complete."""
        self.exchange = None
        self._frames.reset(self, ErrorCodes.INTERNAL_ERROR)

    def open_tunnel(self) -> Upload:
        """Refuse: nobody can ask for another protocol here (RFC 9113 section 8.6)."""
        raise MalformedRequest("HTTP/2 has no Upgrade")

    def close_tunnel(self) -> None:
        """Do nothing: there is none."""

    # Its end.

    def expire(self, now: float) -> None:
        """Act on a deadline that passed: the client takes, or sends, too little."""
        limits = self._site.snapshot.limits
        if self._pieces:
            sent, self._sent = self._sent, 0
            if takes(0, sent, limits, limits.send_timeout):
                self._site.watch.set(self, now + limits.send_timeout)
                return
        elif self.receiving and self.exchange is not None and not self.exchange.reply.started:
            self.exchange.upload_stalled()
            return
        elif not self.receiving:
            return
        self._frames.reset(self, ErrorCodes.CANCEL)
        self.leave()

    def leave(self) -> None:
        """Let go of everything: the stream is over."""
        self.answered = True
        self._pieces.clear()
        self._site.watch.discard(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left()
