"""Many waiting clients, one fetch (RFC 9111 section 4, "collapse requests").

The first request for a key fetches, the others wait and then read along while the body is
still arriving. The fetch belongs to nobody: the client that caused it may hang up. An
answer that may not be stored belongs to that client alone, and frees the others at once;
so that the next ones don't queue for nothing, the key is remembered for a while as one
whose requests go side by side (*hit-for-miss*).
"""

from collections import deque
from typing import Protocol

from gateway.edge import forwarding
from gateway.edge.site import Site
from gateway.errors import GatewayError
from gateway.origin.request import OriginRequest
from gateway.policy import storing, validation, vary
from gateway.policy.age import Arrival
from gateway.policy.rules import CacheRules
from gateway.policy.stored import StoredResponse
from gateway.wire import dates
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import EMPTY, Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead

WINDOW_BYTES = 256 * 1024
"""How far a response that isn't stored may run ahead of its slowest reader."""
_SIDE_BY_SIDE_SECONDS = 10.0
_SIDE_BY_SIDE_KEYS = 16_384


class Reader(Protocol):
    """One client's share in a fetch."""

    head: RequestHead
    position: int
    """How many pieces of the body it has taken."""

    def fetch_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on; only whoever caused the fetch hears them."""

    def fetch_head(self, fetch: "Fetch") -> None:
        """Begin to answer: the response's head is there."""

    def fetch_validated(self, stored: StoredResponse) -> None:
        """Answer with *stored*, which is good again."""

    def fetch_released(self) -> None:
        """Ask again alone: this fetch brings nothing that may be shared."""

    def fetch_failed(self, error: GatewayError) -> None:
        """Give up or break off: nothing complete will come."""

    def pump(self) -> None:
        """Take what more there is; it may have ended."""


class Fetch:
    """One request to an origin whose answer may be stored, and everybody who waits for it."""

    def __init__(self, site: Site, fetches: "Fetches", key: bytes, head: RequestHead,
                 rules: CacheRules, stored: StoredResponse | None) -> None:  # fmt: skip
        self._site = site
        self._fetches = fetches
        self._key = key
        self._request = head
        self._rules = rules
        self._validating = stored
        self._forwarded: OriginRequest | None = None
        self._request_time = site.clock()
        self._decision: storing.Store | None = None
        self._arrival: Arrival | None = None
        self._readers: list[Reader] = []
        self._bytes = 0
        self._dropped = 0
        """Pieces already taken by every reader and forgotten; only when nothing is stored."""
        self._paused = False
        self._preview: StoredResponse | None = None
        self.pieces: deque[bytes] = deque()
        self.response: ResponseHead | None = None
        self.body: Framing | None = None
        self.unstorable: storing.Unstorable | None = None
        self.ended = False
        self.failure: GatewayError | None = None
        self.trailers: Fields = NONE

    def start(self, origin: str, fields: Fields, client: bytes) -> None:
        """Send the request to *origin* with *fields* for its own."""
        pool = self._site.pools[origin]
        if self._validating is not None:
            fields = validation.conditional(self._validating, fields)
        head = forwarding.request_head(
            self._request, fields, client, pool.authority(self._request.host), EMPTY
        )
        forwarded = pool.request(self._request.method, head, None, self)
        if not self.ended and self.failure is None:
            self._forwarded = forwarded

    def preview(self) -> StoredResponse | None:
        """Return what will be stored, still without its body; None when nothing will."""
        if self._decision is None or self.response is None or self._arrival is None:
            return None
        if self._preview is None:
            self._preview = storing.keep(self._decision, self.response, b"", self._arrival)
        return self._preview

    def accepts(self, head: RequestHead) -> bool:
        """Return whether a request may wait for this, or read along."""
        if self.response is None:
            return True
        preview = self.preview()
        return preview is not None and self.failure is None and vary.matches(preview, head.fields)

    def join(self, reader: Reader) -> None:
        """Let *reader* have what comes."""
        self._readers.append(reader)
        if self.response is not None:
            reader.fetch_head(self)

    def leave(self, reader: Reader) -> None:
        """Forget *reader*; a fetch whose answer nobody may keep ends with its last one."""
        if reader in self._readers:
            self._readers.remove(reader)
        if self.response is not None and self._decision is None and not self._readers:
            self._abandon()
        else:
            self._make_room()

    def take(self, position: int) -> bytes | None:
        """Return the piece of the body at *position*; None when it isn't there yet."""
        index = position - self._dropped
        return self.pieces[index] if index < len(self.pieces) else None

    def taken(self) -> None:
        """Note that a reader has moved on."""
        if self._decision is None:
            self._make_room()

    # ResponseTaker: what comes from the origin.

    def take_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response to whoever caused the fetch."""
        if self._readers:
            self._readers[0].fetch_interim(head)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Decide what the answer is to those who wait."""
        now = self._site.clock()
        self._arrival = arrival(head, self._request_time, now)
        stored = self._validating
        if stored is not None and head.status == 304 and validation.selects(stored, head):
            self._freshen(stored, head, self._arrival)
            return
        self.response = head
        self.body = body
        decision = storing.decide(self._request, head, self._rules, self._arrival)
        too_large = isinstance(body, Sized) and body.length > self._site.memory.max_object_bytes
        if isinstance(decision, storing.Store) and not too_large:
            self._decision = decision
            self._fetches.remember_together(self._key)
            self._let_in()
            return
        if isinstance(decision, storing.Pass):
            self.unstorable = decision.why
        self._fetches.remember_apart(self._key)
        self._fetches.remove(self._key, self)
        others, self._readers = self._readers[1:], self._readers[:1]
        if self._readers:
            self._readers[0].fetch_head(self)
        else:
            self._abandon()
        for reader in others:
            reader.fetch_released()

    def _let_in(self) -> None:
        waiting, self._readers = self._readers, []
        for reader in waiting:
            if self.accepts(reader.head):
                self._readers.append(reader)
            else:
                reader.fetch_released()
        for reader in tuple(self._readers):
            reader.fetch_head(self)

    def _freshen(self, stored: StoredResponse, head: ResponseHead, came: Arrival) -> None:
        fresh = validation.freshen(stored, head, self._rules, came)
        self.ended = True
        self._fetches.remove(self._key, self)
        keep(self._site, self._key, fresh)
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.fetch_validated(fresh)

    def take_piece(self, data: bytes) -> None:
        """Take some of the body and show it to the readers."""
        if self.response is None:
            return
        self.pieces.append(data)
        self._bytes += len(data)
        if self._decision is not None and self._bytes > self._site.memory.max_object_bytes:
            # It never said how long it is. From here on it passes through.
            self._decision = None
            self._fetches.remember_apart(self._key)
            self._fetches.remove(self._key, self)

    def take_break(self) -> None:
        """Let the readers take what has come so far."""
        for reader in tuple(self._readers):
            reader.pump()
        if self._decision is None:
            self._make_room()

    def take_end(self, trailers: Fields) -> None:
        """Store what is complete and let the readers finish."""
        if self.ended:
            return
        self.ended = True
        self.trailers = trailers
        self._fetches.remove(self._key, self)
        if self._decision is not None and self.response is not None and self._arrival is not None:
            body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
            keep(
                self._site,
                self._key,
                storing.keep(self._decision, self.response, body, self._arrival),
            )
        for reader in tuple(self._readers):
            reader.pump()

    def take_failure(self, error: GatewayError) -> None:
        """Tell everybody who waits."""
        self.failure = error
        self._fetches.remove(self._key, self)
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.fetch_failed(error)

    def _abandon(self) -> None:
        self.ended = True
        self._fetches.remove(self._key, self)
        if self._forwarded is not None:
            self._forwarded.abandon()

    def _make_room(self) -> None:
        """Forget what every reader has; hold the origin back while the slowest has too much."""
        if self._decision is not None or self.response is None or self.ended:
            return
        if not self._readers:
            self._abandon()
            return
        slowest = min(reader.position for reader in self._readers)
        while self._dropped < slowest:
            self._bytes -= len(self.pieces.popleft())
            self._dropped += 1
        full = self._bytes > WINDOW_BYTES
        if full != self._paused and self._forwarded is not None:
            self._paused = full
            if full:
                self._forwarded.pause()
            else:
                self._forwarded.resume()


class Fetches:
    """The fetches under way in this worker, by cache key."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._by_key: dict[bytes, list[Fetch]] = {}
        self._apart: dict[bytes, float] = {}

    def find(self, key: bytes, head: RequestHead) -> Fetch | None:
        """Return a fetch that a request for *key* may wait for."""
        for fetch in self._by_key.get(key, ()):
            if fetch.accepts(head):
                return fetch
        return None

    def add(self, key: bytes, fetch: Fetch) -> None:
        """Let others find *fetch*."""
        self._by_key.setdefault(key, []).append(fetch)

    def remove(self, key: bytes, fetch: Fetch) -> None:
        """Let nobody find *fetch* any more."""
        fetches = self._by_key.get(key)
        if fetches is not None and fetch in fetches:
            fetches.remove(fetch)
            if not fetches:
                del self._by_key[key]

    def apart(self, key: bytes) -> bool:
        """Return whether requests for *key* should go side by side for now."""
        until = self._apart.get(key)
        if until is None:
            return False
        if until < self._site.monotonic():
            del self._apart[key]
            return False
        return True

    def remember_apart(self, key: bytes) -> None:
        """Let requests for *key* go side by side for a while: its answers can't be shared."""
        self._apart.pop(key, None)
        if len(self._apart) >= _SIDE_BY_SIDE_KEYS:
            del self._apart[next(iter(self._apart))]
        self._apart[key] = self._site.monotonic() + _SIDE_BY_SIDE_SECONDS

    def remember_together(self, key: bytes) -> None:
        """Let requests for *key* wait for one another again."""
        if self._apart:
            self._apart.pop(key, None)


def arrival(head: ResponseHead, request_time: float, response_time: float) -> Arrival:
    """Return what is known of a response's age as it arrives (RFC 9111 section 4.2.3)."""
    date = head.fields.get(b"date")
    date_value = dates.parse(date) if date is not None else None
    age = head.fields.get(b"age")
    # Section 5.1: of a list the first member counts, what is no number is ignored.
    first = age.split(b",")[0].strip() if age is not None else b""
    return Arrival(
        date_value=response_time if date_value is None else date_value,
        age_value=float(first) if first.isdigit() else 0.0,
        request_time=request_time,
        response_time=response_time,
    )


def keep(site: Site, key: bytes, fresh: StoredResponse) -> None:
    """Put *fresh* on its shelf, in place of the variant that it supersedes."""
    shelf = site.memory.peek(key)
    others = () if shelf is None else shelf.variants
    site.memory.keep(key, storing.filed(others, fresh))
