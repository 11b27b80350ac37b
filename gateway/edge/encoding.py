"""Bodies that are encoded while they arrive: nobody waits for the end of one.

Small pieces are encoded where they come in, which costs less than handing them over; larger
ones by a thread, one step at a time, and what comes meanwhile makes the next step. Each
time that an origin pauses, all that it said so far goes out.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.edge import encoders
from gateway.edge.compress import INLINE_BYTES, padding
from gateway.edge.site import Site
from gateway.errors import GatewayError
from gateway.policy.negotiation import Coding
from gateway.policy.stored import StoredResponse
from gateway.routing.route import Route
from gateway.wire.fields import NONE, Fields
from gateway.wire.message import RequestHead, ResponseHead

if TYPE_CHECKING:
    from gateway.edge.collapse import Fetch, Reader

BACKLOG_BYTES = 256 * 1024
"""How much may wait to be encoded before its source is held back."""


class Encoder:
    """One body on its way through a coding."""

    __slots__ = ("_coding", "_done", "_out", "_over", "_pending", "_route", "_running", "_site",
                 "_stream", "backlog", "encoded_bytes", "ending", "padded", "plain_bytes",
                 "seconds")  # fmt: skip

    def __init__(
        self,
        site: Site,
        route: Route,
        head: RequestHead,
        coding: Coding,
        out: Callable[[bytes], None],
        done: Callable[[], None],
    ) -> None:
        self._site = site
        self._route = route
        self._coding = coding
        pad = padding(route, head)
        self.padded = bool(pad)
        """Whether some bytes mean nothing, so that its length tells less."""
        self._stream = encoders.stream(coding, pad)
        self._out = out
        self._done = done
        self._pending: list[bytes] = []
        self._running = False
        self._over = False
        self.ending = False
        """Whether all of the body is there."""
        self.backlog = 0
        """Bytes that wait to be encoded."""
        self.plain_bytes = 0
        self.encoded_bytes = 0
        self.seconds = 0.0

    def feed(self, data: bytes) -> None:
        """Take some of the body; it goes on its way at the next `flush`."""
        self._pending.append(data)
        self.backlog += len(data)

    def flush(self) -> None:
        """Send on all that was fed."""
        if self._pending:
            self._go()

    def end(self) -> None:
        """Complete the body."""
        self.ending = True
        self._go()

    def drop(self) -> None:
        """Forget it: nobody wants the rest."""
        self._over = True
        self._pending.clear()

    def _go(self) -> None:
        if self._running or self._over:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        end = self.ending
        self.plain_bytes += len(data)
        stream = self._stream

        def work() -> tuple[bytes, float]:
            began = time.thread_time()
            encoded = stream.step(data, flush=not end, end=end)
            return encoded, time.thread_time() - began

        def stepped(found: tuple[bytes, float] | None) -> None:
            self._running = False
            self.backlog -= len(data)
            if self._over:
                return
            encoded, seconds = (b"", 0.0) if found is None else found
            self.encoded_bytes += len(encoded)
            self.seconds += seconds
            if encoded:
                self._out(encoded)
            if end:
                self._over = True
                self._count()
                self._done()
            elif self._pending or self.ending:
                self._go()

        if len(data) <= INLINE_BYTES:
            stepped(work())
        else:
            self._running = True
            self._site.representations.run(work, stepped)

    def _count(self) -> None:
        level = encoders.level(self._coding, best=False)
        labels = (self._route.name, self._coding.value, level)
        self._site.counters.encoded(labels, self.plain_bytes, self.encoded_bytes, self.seconds)


class Encoding:
    """What a fetch brings, in one coding, for everybody who takes that one.

    Towards the fetch it is one of its readers; to its own readers it looks like the fetch.
    """

    def __init__(
        self,
        site: Site,
        fetch: "Fetch",
        key: bytes,
        route: Route,
        head: RequestHead,
        coding: Coding,
    ) -> None:
        self._site = site
        self._fetch = fetch
        self._key = key
        self._coding = coding
        self._encoder = Encoder(site, route, head, coding, self._take, self._complete)
        self._readers: list[Reader] = []
        self._pieces: deque[bytes] = deque()
        self._dropped = 0
        self._waiting_bytes = 0
        self.head = head
        self.position = 0
        self.response: ResponseHead | None = fetch.response
        self.stored: StoredResponse | None = None
        """None: whoever reads here takes the pieces."""
        self.ended = False
        self.trailers: Fields = NONE
        fetch.join(self)

    # Towards its readers, as `Fetch` does it.

    @property
    def received(self) -> int:
        """How much of the origin's body has come."""
        return self._fetch.received

    def join(self, reader: "Reader") -> None:
        """Let *reader* have what comes."""
        self._readers.append(reader)

    def leave(self, reader: "Reader") -> None:
        """Forget *reader*; what isn't kept ends with its last one."""
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers and self._fetch.preview() is None and not self.ended:
            self._encoder.drop()
            self._fetch.leave(self)

    def preview(self) -> StoredResponse | None:
        """Return what will be stored, still without its body; None when nothing will."""
        return self._fetch.preview()

    def take(self, position: int) -> bytes | None:
        """Return the piece at *position*; None when it isn't there yet."""
        index = position - self._dropped
        return self._pieces[index] if index < len(self._pieces) else None

    def taken(self) -> None:
        """Note that a reader has moved on."""
        if self._fetch.preview() is not None or not self._readers:
            return
        slowest = min(reader.position for reader in self._readers)
        while self._dropped < slowest:
            self._waiting_bytes -= len(self._pieces.popleft())
            self._dropped += 1
        self.pump()

    # Towards the fetch: a `Reader`.

    def fetch_interim(self, head: ResponseHead) -> None:
        """Nothing: a final response is there."""

    def fetch_head(self, fetch: "Fetch") -> None:
        """Nothing: it is known."""

    def fetch_validated(self, stored: StoredResponse) -> None:
        """Nothing: what is validated isn't encoded as it comes."""

    def fetch_released(self) -> None:
        """Nothing: the head was there before this began."""

    def fetch_found(self) -> None:
        """Nothing: the head was there before this began."""

    def fetch_erred(self, status: int) -> bool:  # noqa: ARG002
        """Have the error; the head was there before this began."""
        return False

    def fetch_failed(self, error: GatewayError) -> None:
        """Tell everybody who reads."""
        self._encoder.drop()
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.fetch_failed(error)

    def pump(self) -> None:
        """Encode what more there is, as far as its readers keep up."""
        fetch = self._fetch
        position = self.position
        while (piece := fetch.take(self.position)) is not None and self._has_room():
            self.position += 1
            self._encoder.feed(piece)
        if self.position != position:
            fetch.taken()
        if fetch.ended and fetch.take(self.position) is None:
            self.trailers = fetch.trailers
            self._encoder.end()
        else:
            self._encoder.flush()

    def _has_room(self) -> bool:
        return self._fetch.preview() is not None or (
            self._encoder.backlog + self._waiting_bytes <= BACKLOG_BYTES
        )

    def _take(self, encoded: bytes) -> None:
        self._pieces.append(encoded)
        self._waiting_bytes += len(encoded)
        if not self._encoder.ending:
            for reader in tuple(self._readers):
                reader.pump()

    def _complete(self) -> None:
        self.ended = True
        fetched = self._fetch.stored
        if fetched is not None and not self._dropped:
            body = b"".join(self._pieces)
            padded = self._encoder.padded
            form = encoders.formed(self._coding, body, len(fetched.body), best=padded)
            self._site.representations.keep(self._key, fetched.body, form)
        for reader in tuple(self._readers):
            reader.pump()
