"""Many waiting clients, one fetch (RFC 9111 section 4, "collapse requests").

The first request for a key fetches, the others wait and then read along while the body is
still arriving. The fetch belongs to nobody: the client that caused it may hang up. An
answer that may not be stored belongs to that client alone, and frees the others at once;
so that the next ones don't queue for nothing, the key is remembered for a while as one
whose requests go side by side (*hit-for-miss*).
"""

from collections import deque
from typing import Protocol

from gateway.edge import forwarding, shelving, treatment
from gateway.edge.consulting import Consultation
from gateway.edge.encoding import Encoding
from gateway.edge.fetches import Fetches
from gateway.edge.site import Site
from gateway.errors import GatewayError, OriginSpokeNonsense
from gateway.origin.request import OriginRequest
from gateway.policy import reuse, validation, vary
from gateway.policy.age import Arrival, arrived
from gateway.policy.stored import StoredResponse
from gateway.routing.route import Route
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import EMPTY, Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead

WINDOW_BYTES = 256 * 1024
"""How far a response that isn't stored may run ahead of its slowest reader."""
_PASSING_SECONDS = 1.0
"""...after an error that says more about the moment than about the answer."""


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

    def fetch_found(self) -> None:
        """Look into memory again: there was an answer in another tier."""

    def fetch_erred(self, status: int) -> bool:
        """Answer with something stale in place of an error of the origin's, if that may be.

        False to have the error.
        """

    def fetch_failed(self, error: GatewayError) -> None:
        """Give up or break off: nothing complete will come."""

    def pump(self) -> None:
        """Take what more there is; it may have ended."""


class Fetch:
    """One request to an origin whose answer may be stored, and everybody who waits for it."""

    def __init__(
        self,
        site: Site,
        fetches: Fetches,
        key: bytes,
        head: RequestHead,
        fields: Fields,
        route: Route,
        stored: StoredResponse | None,
    ) -> None:
        self._site = site
        self._fetches = fetches
        self._key = key
        self._request = head
        self._fields = fields
        """What goes to the origin, less the conditions under which *stored* still holds."""
        self._route = route
        self._validating = stored
        self._client = b""
        self._consultation: Consultation | None = None
        self._forwarded: OriginRequest | None = None
        self._request_time = site.clock()
        self._serial = site.purges.serial
        self._repeating = False
        self._readers: list[Reader] = []
        self.received = 0
        """How much of the body has come."""
        self._dropped = 0
        """Pieces already taken by every reader and forgotten; only when nothing is stored."""
        self._paused = False
        self._keeping: shelving.Keeping | None = None
        self.pieces: deque[bytes] = deque()
        self.encodings: dict[str, Encoding] = {}
        """Who encodes what comes, by coding."""
        self.whole = False
        """Whether it came in one go."""
        self.outdated = False
        """What it brings was made wrong meanwhile, and isn't kept."""
        self.stored: StoredResponse | None = None
        """What it brought, whole; None before that, and when it isn't kept."""
        self.response: ResponseHead | None = None
        self.body: Framing | None = None
        self.ended = False
        self.failure: GatewayError | None = None
        self.trailers: Fields = NONE

    def start(self, client: bytes, *, alone: bool = False) -> None:
        """Get the answer, on behalf of the client at the address *client*.

        From the origin, unless another tier has it; *alone* asks no other tier.
        """
        self._client = client
        site = self._site
        if alone or (site.tiers is None and site.is_current()):
            self._ask()
            return
        stored = self._validating
        newest = 0.0 if stored is None else stored.arrival.response_time
        self._consultation = Consultation(
            site, self._key, self._route.cache, newest, self._consulted
        )
        self._consultation.begin()

    def _consulted(self, found: bool) -> None:
        """Go on, after other tiers were asked."""
        if self.ended:
            self._release()
            return
        if not found:
            if self._consultation is not None and self._consultation.unshared:
                # Nobody waits in line for what is to be asked for one by one.
                self._fetches.remember_apart(self._key, _PASSING_SECONDS)
                self._fetches.remove(self._key, self)
                others, self._readers = self._readers[1:], self._readers[:1]
                for reader in others:
                    reader.fetch_released()
            self._request_time = self._site.clock()
            self._serial = self._site.purges.serial
            self._ask()
            return
        self.ended = True
        self._fetches.remove(self._key, self)
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.fetch_found()

    def _release(self) -> None:
        consultation, self._consultation = self._consultation, None
        if consultation is not None:
            consultation.release()

    def _ask(self) -> None:
        """Send the request to the origin."""
        client = self._client
        pool = self._site.pools[self._route.origin]
        fields = self._fields
        if self._validating is not None:
            fields = validation.conditional(self._validating, fields)
        head = forwarding.request_head(
            self._request, self._route, fields, pool.authority(self._request.host), EMPTY
        )
        forwarded = pool.request(
            self._request.method,
            head + forwarding.of_client(client, self._request),
            None,
            self,
            timeouts=treatment.timeouts(self._route, pool.settings.timeouts),
        )
        if not self.ended and self.failure is None:
            self._forwarded = forwarded

    def preview(self) -> StoredResponse | None:
        """Return what will be stored, still without its body; None when nothing will."""
        return None if self._keeping is None else self._keeping.preview

    def accepts(self, head: RequestHead) -> bool:
        """Return whether a request may wait for this, or read along."""
        if self.response is None:
            return True
        preview = self.preview()
        return preview is not None and self.failure is None and vary.matches(preview, head.fields)

    def may_be_purged(self) -> bool:
        """Return whether a purge since this began may forbid what it brings to who comes now."""
        if self._serial == self._site.purges.serial:
            return False
        preview = self.preview()
        if preview is None:
            # Which groups it will be in, the origin has yet to say.
            return True
        return self._site.purges.judge(preview) is not preview

    def join(self, reader: Reader) -> None:
        """Let *reader* have what comes."""
        self._readers.append(reader)
        if self.response is not None:
            reader.fetch_head(self)

    def leave(self, reader: Reader) -> None:
        """Forget *reader*; a fetch whose answer nobody may keep ends with its last one."""
        if reader in self._readers:
            self._readers.remove(reader)
        if self.response is not None and self._keeping is None and not self._readers:
            self._abandon()
        else:
            self._make_room()

    def take(self, position: int) -> bytes | None:
        """Return the piece of the body at *position*; None when it isn't there yet."""
        index = position - self._dropped
        return self.pieces[index] if index < len(self.pieces) else None

    def taken(self) -> None:
        """Note that a reader has moved on."""
        if self._keeping is None:
            self._make_room()

    # ResponseTaker: what comes from the origin.

    def take_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response to whoever caused the fetch."""
        if self._readers:
            self._readers[0].fetch_interim(head)

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        """Take a response that came in one go."""
        self.whole = True
        self.take_head(head, body)
        if data:
            self.take_piece(data)
        self.take_end(NONE)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Decide what the answer is to those who wait."""
        arrival = arrived(head.fields, self._request_time, self._site.clock())
        if head.status == 304:
            stored = self._validating
            if stored is not None and validation.selects(stored, head):
                self._freshen(stored, head, arrival)
            elif stored is not None:
                # It is about something that we don't have (RFC 9111 section 4.3.4).
                self._repeating = True
            else:
                self._give_up("answered 304 to an unconditional request")
            return
        if head.status == 101:
            self._give_up("switched protocols without being asked to")
            return
        stays = self._stays(head.status)
        if head.status >= 500 or stays:
            # A copy: who has an answer leaves.
            readers = tuple(self._readers)
            self._readers = [each for each in readers if not each.fetch_erred(head.status)]
        self.response = head
        self.body = body
        if not stays:
            self._keeping = shelving.consider(
                self._site, self._request, head, body, self._route, arrival
            )
        if self._keeping is not None:
            self._fetches.remember_together(self._key)
            self._let_in()
            return
        over = head.status < 500 and not stays
        if self._validating is not None and over and head.status != 429:
            # The origin has spoken, and what we have is no longer its word.
            shelving.discard(self._site, self._key, self._validating)
        if self._validating is None or over:
            # An origin that is overloaded now may have a good answer in a moment, and is asked
            # as seldom as possible for it.
            passing = head.status >= 500 or head.status == 429
            self._fetches.remember_apart(self._key, _PASSING_SECONDS if passing else None)
        self._fetches.remove(self._key, self)
        self._release()
        others, self._readers = self._readers[1:], self._readers[:1]
        if self._readers:
            self._readers[0].fetch_head(self)
        else:
            self._abandon()
        for reader in others:
            reader.fetch_released()

    def _stays(self, status: int) -> bool:
        """Return whether what was to be validated stays where it is, although it's gone."""
        stored = self._validating
        rules = self._route.cache
        return (
            stored is not None
            and not self.outdated
            and reuse.outlives(stored, rules, self._site.clock(), status)
        )

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
        rules = self._route.cache
        chance = self._site.chance()
        fresh = validation.freshen(stored, head, rules, came, self._fields, chance)
        self.ended = True
        self._fetches.remove(self._key, self)
        readers, self._readers = self._readers, []
        if self.outdated:
            shelving.discard(self._site, self._key, stored)
        elif not shelving.replace(self._site, self._key, stored, fresh, rules):
            # It may no longer be kept or shared; one may have it.
            for reader in readers[1:]:
                reader.fetch_released()
            del readers[1:]
        self._release()
        for reader in readers:
            reader.fetch_validated(fresh)

    def take_piece(self, data: bytes) -> None:
        """Take some of the body and show it to the readers."""
        if self.response is None:
            return
        self.pieces.append(data)
        self.received += len(data)
        if self._keeping is not None and not self._keeping.add(data):
            # It never said how long it is. From here on it passes through.
            self._keeping = None
            self._fetches.remember_apart(self._key)
            self._fetches.remove(self._key, self)
            self._release()

    def take_break(self) -> None:
        """Let the readers take what has come so far."""
        for reader in tuple(self._readers):
            reader.pump()
        if self._keeping is None:
            self._make_room()

    def take_end(self, trailers: Fields) -> None:
        """Store what is complete and let the readers finish."""
        if self.ended or self.failure is not None:
            return
        if self._repeating:
            self._repeating = False
            self._validating = None
            self._request_time = self._site.clock()
            self._ask()
            return
        self.ended = True
        self.trailers = trailers
        self._fetches.remove(self._key, self)
        if self._keeping is not None:
            self.stored = self._keeping.complete()
            if not self.outdated:
                shelving.keep(self._site, self._key, self.stored)
            if self._route.hints is not None:
                self._learn(self.stored)
        self._release()
        for reader in tuple(self._readers):
            reader.pump()

    def _learn(self, stored: StoredResponse) -> None:
        """Note what a page will need."""
        hints = self._site.hints
        page = hints.page(self._route, self._request, stored.status, stored.fields)
        if page is not None:
            page.add(stored.body)
            hints.learn(self._route, self._request, page)

    def take_failure(self, error: GatewayError) -> None:
        """Tell everybody who waits."""
        self.failure = error
        self._fetches.remove(self._key, self)
        self._release()
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.fetch_failed(error)

    def _give_up(self, why: str) -> None:
        forwarded, self._forwarded = self._forwarded, None
        if forwarded is not None:
            forwarded.abandon()
        self.take_failure(OriginSpokeNonsense(why))

    def _abandon(self) -> None:
        self.ended = True
        self._fetches.remove(self._key, self)
        self._release()
        if self._forwarded is not None:
            self._forwarded.abandon()

    def _make_room(self) -> None:
        """Forget what every reader has; hold the origin back while the slowest has too much."""
        if self._keeping is not None or self.response is None or self.ended:
            return
        if not self._readers:
            self._abandon()
            return
        slowest = min(reader.position for reader in self._readers)
        while self._dropped < slowest:
            self.received -= len(self.pieces.popleft())
            self._dropped += 1
        full = self.received > WINDOW_BYTES
        if full != self._paused and self._forwarded is not None:
            self._paused = full
            if full:
                self._forwarded.pause()
            else:
                self._forwarded.resume()
