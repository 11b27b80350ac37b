"""An exchange past the cache: what the origin sends goes on to the client as it comes.

What the cache would have wanted to know is noticed on the way: that a write made something
wrong, that an answer could have been shared after all.
"""

from gateway.edge import asking, compress, encoders, forwarding, images, shelving, treatment
from gateway.edge.answer import Answer
from gateway.edge.asked import Bypassing, Cacheable
from gateway.edge.encoding import BACKLOG_BYTES, Encoder
from gateway.edge.fetches import Fetches
from gateway.edge.hints import Page
from gateway.edge.invalidating import invalidate
from gateway.edge.passes import RepeatedPass
from gateway.errors import GatewayError, OriginSpokeNonsense
from gateway.origin.request import OriginRequest
from gateway.policy import downstream, negotiation, validation
from gateway.policy.age import arrived
from gateway.policy.negotiation import Coding
from gateway.policy.outcome import Word
from gateway.policy.reuse import Deliver, DeliverStale, Refuse, Validate
from gateway.policy.stored import Form, StoredResponse
from gateway.routing.route import Early
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import CHUNKED, EMPTY, Framing, Sized
from gateway.wire.message import ResponseHead

SAFE = frozenset({b"GET", b"HEAD"})
"""Methods whose answers carry what a cache may say about them."""


class Relay(Answer):
    """Takes the origin's response itself; a `ResponseTaker`."""

    __slots__ = ("_again", "_encoder", "_fetches", "_forwarded", "_keeping", "_kept_under", "_page",
                 "_requested", "_trailers", "_tunnel")  # fmt: skip

    _fetches: Fetches
    _tunnel: bool
    _forwarded: OriginRequest | None
    _again: RepeatedPass | None
    _keeping: shelving.Keeping | None
    _kept_under: bytes
    """The key for what is being kept."""
    _encoder: Encoder | None
    """What the body goes through; None for as it is."""
    _trailers: Fields
    """What ends the body, once that is encoded."""
    _page: Page | None
    """What is to be learned from the answer; None for nothing."""
    _requested: float
    """Epoch seconds at which the request was forwarded."""

    def _relay(self, raw: bytes) -> None:
        self._hint()
        head = self.head
        pool = self._site.pools[self.route.origin]
        upload = self._upload
        upgrade = forwarding.upgrade(head)
        before_client = forwarding.request_head(
            head,
            self.route,
            self._fields_for_origin(),
            pool.authority(head.host),
            EMPTY if upload is None else upload.framing,
            upgrade=upgrade,
        )
        if (
            upload is None
            and head.method in SAFE
            and upgrade is None
            and self.reply.persistent
            and not head.secure
            and not self.route.access
            and not self.route.rate_limits
            and (self.route.hints is None or self.route.hints.early is not Early.ALL)
            and not self.explains
        ):
            site = self._site
            latencies = site.counters.origin_latency[pool.settings.name]
            again = RepeatedPass(head, self.asked, before_client, pool, latencies, site.stamp.value)
            site.passes.note(raw, again)
            self._again = again
        self._forward(before_client + forwarding.of_client(self._client.address, head))

    def start_again(self, again: RepeatedPass, *, repeated: bool = False) -> None:
        """Begin to answer a request that was forwarded just now, byte for byte.

        *repeated* when it was sent once already over a connection that turned out dead.
        """
        self.resume(again, self.started)
        self._forward(again.forward_for(self._client.address), repeated=repeated)

    def resume(self, again: RepeatedPass, started: float) -> None:
        """Answer what was forwarded at *started* (monotonic), in the place of a flight."""
        self._again = again
        asked = again.asked
        if isinstance(asked, Bypassing):
            self._why = asked.why
        else:
            assert isinstance(asked, Cacheable)
            assert not isinstance(asked.verdict, Deliver | DeliverStale | Refuse)
            self._why = asked.verdict.why
            self.word = Word.PASS
        site = self._site
        self.started = started
        self._requested = site.clock() - (site.monotonic() - started)

    def take_over(self, request: OriginRequest) -> None:
        """Have what is still to come by *request*."""
        self._forwarded = request

    def _forward(self, head: bytes, *, repeated: bool = False) -> None:
        site = self._site
        self._requested = site.clock()
        pool = site.pools[self.route.origin]
        forwarded = pool.request(
            self.head.method,
            head,
            self._upload,
            self,
            repeated=repeated,
            timeouts=treatment.timeouts(self.route, pool.settings.timeouts),
        )
        if not self._over:
            self._forwarded = forwarded

    def _fields_for_origin(self) -> Fields:
        fields = self.head.fields
        if isinstance(self.asked, Cacheable):
            return forwarding.for_cacheable(fields, self.route.cache)
        return fields

    def take_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on, to clients that know what it is (RFC 9110 section 15.2)."""
        if self.head.minor == 0 or self.reply.started:
            return
        if head.status == 100 and b"expect" not in self.head.fields:
            return
        lines = forwarding.end_to_end(head.fields).encode()
        self._client.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, lines))

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        """Answer with a response that came in one go."""
        if self.route.compression is not None and isinstance(self.asked, Bypassing):
            coding = compress.coding_for(self.route, self.head, head, body.length)
            if coding is not None and head.status != 101:
                self._encode_whole(coding, head, data)
                return
        again = self._again
        if again is None:
            self.take_head(head, body)
            if not self._over:
                self.take_piece(data)
                self.take_end(NONE)
            return
        reply = self.reply
        # Identity: the origin's connection knows heads that it has read before.
        if again.response is head and reply.persistent:
            reply.started = True
            reply.status = head.status
            reply.body_bytes = self.origin_bytes = len(data)
            self.origin_answer = head
            self._client.write(again.answer_head + data)
            self._forwarded = None
            self._finish()
            return
        self.take_head(head, body)
        if self._over:
            return
        if self._keeping is None and self._encoder is None and reply.persistent:
            again.answered(head, reply.head)
        self.take_piece(data)
        self.take_end(NONE)

    def _encode_whole(self, coding: Coding, head: ResponseHead, data: bytes) -> None:
        """Answer with *data*, all of the body, as *coding* makes it."""
        self._forwarded = None
        self._again = None
        site = self._site

        def made(form: Form | None) -> None:
            if self._over:
                return
            if form is None or not encoders.is_worthwhile(form):
                sent, body = negotiation.with_vary(head.fields), data
            else:
                sent, body = negotiation.encoded(head.fields, coding, form), form.body
            encoded = ResponseHead(head.status, head.reason, sent, head.minor)
            self.take_head(encoded, Sized(len(body)))
            if not self._over:
                self.take_piece(body)
                self.take_end(NONE)

        site.representations.form(coding, data, self.route, self.head, made)

    def _encoded(self, head: ResponseHead, body: Framing, fields: Fields) -> tuple[Fields, Framing]:
        """Return what the client is told about a body that may be encoded as it passes."""
        kept = self._keeping is not None
        fields = images.as_source(self.route, self.head, head, fields, kept=kept)
        rules = self.route.compression
        if rules is None:
            return fields, body
        length = body.length if isinstance(body, Sized) else None
        coding = compress.coding_for(self.route, self.head, head, length)
        if coding is None:
            return compress.varied(fields, head, rules), body
        self._encoder = Encoder(
            self._site, self.route, self.head, coding, self._take_encoded, self._end_encoded
        )
        return negotiation.streamed(fields, coding), CHUNKED

    def _take_encoded(self, data: bytes) -> None:
        self.reply.piece(data)
        self.reply.flush()
        encoder = self._encoder
        assert encoder is not None
        if self._client.has_room and encoder.backlog <= BACKLOG_BYTES:
            self.room()

    def _end_encoded(self) -> None:
        self._end_reply(self._trailers)
        self._finish()

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Begin the answer with the origin's response."""
        self.origin_answer = head
        if head.status == 101:
            self._open_tunnel(head)
            return
        rules = self.route.cache
        if self.route.hints is not None:
            self._page = self._site.hints.page(self.route, self.head, head.status, head.fields)
        method = self.head.method
        if method not in SAFE:
            invalidate(self._site, self.head, head, self.route.name, self._fetches.outdate)
            self._consider_post(head, body)
            fields = head.fields
            if not rules.enabled:
                fields = downstream.fields_for_client(fields, rules, None, head.status)
            fields, body = self._encoded(head, body, fields)
            self._start_reply(head, fields, body, None)
            return
        kept = None
        if isinstance(self.asked, Cacheable):
            kept = self._consider(self.asked, head, body)
        fields = downstream.fields_for_client(
            head.fields, rules, None if kept is None else kept.lifetime, head.status
        )
        fields, body = self._encoded(head, body, fields)
        self._start_reply(head, fields, body, kept)

    def _consider(
        self, asked: Cacheable, head: ResponseHead, body: Framing
    ) -> StoredResponse | None:
        """Look at what passed the cache by, although it had been asked.

        What the next request for it may wait for is kept after all; what came for a HEAD
        tells about a stored response (RFC 9111 section 4.3.5). Returns what will be stored,
        still without its body.
        """
        site = self._site
        rules = self.route.cache
        arrival = arrived(head.fields, self._requested, site.clock())
        if self.head.method == b"HEAD":
            verdict = asked.verdict
            if isinstance(verdict, Validate):
                stored = verdict.stored
                fresh = validation.freshened_by_head(stored, head, rules, arrival, self.head.fields)
                shelving.replace(site, asked.key, stored, fresh, rules)
            return None
        self._keeping = shelving.consider(site, self.head, head, body, self.route, arrival)
        if self._keeping is None:
            return None
        self._kept_under = asked.key
        self._fetches.remember_together(asked.key)
        self.word = Word.MISS
        return self._keeping.preview

    def _consider_post(self, head: ResponseHead, body: Framing) -> None:
        """Keep what a POST says a GET would bring (RFC 9110 section 9.3.3)."""
        if self.head.method != b"POST" or b"content-location" not in head.fields:
            return
        site = self._site
        key = asking.key_of(site, self.head, self.head.target)
        if key is not None:
            route = site.batches.route(b"GET", self.head.target, self.head)
            # As if it had been asked for now: the write itself has just made older ones wrong.
            now = site.clock()
            arrival = arrived(head.fields, now, now)
            self._keeping = shelving.consider(site, self.head, head, body, route, arrival)
            self._kept_under = key

    def take_piece(self, data: bytes) -> None:
        """Pass some of the body on."""
        if self._tunnel:
            self.reply.body_bytes += len(data)
            self._client.write(data)
            return
        self.origin_bytes += len(data)
        if self._page is not None:
            self._page.add(data)
        if self._encoder is None:
            self.reply.piece(data)
        else:
            self._encoder.feed(data)
        if self._keeping is not None and not self._keeping.add(data):
            self._keeping = None

    def take_break(self) -> None:
        """Send what has come so far; hold the origin back while the client takes no more."""
        encoder = self._encoder
        waiting = 0
        if encoder is None:
            self.reply.flush()
        else:
            if not encoder.backlog:
                # The head may have come alone; it must not wait for the body.
                self.reply.flush()
            encoder.flush()
            waiting = encoder.backlog
        full = not self._client.has_room or waiting > BACKLOG_BYTES
        if full and self._forwarded is not None:
            self._forwarded.pause()

    def take_end(self, trailers: Fields) -> None:
        """Complete the answer."""
        if self._tunnel:
            self._close()
            self._client.close_tunnel()
            return
        if self._keeping is not None:
            shelving.keep(self._site, self._kept_under, self._keeping.complete())
        if self._page is not None:
            self._site.hints.learn(self.route, self.head, self._page)
        self._forwarded = None
        if self._encoder is not None:
            self._trailers = trailers
            self._encoder.end()
            return
        self._end_reply(trailers)
        self._finish()

    def take_failure(self, error: GatewayError) -> None:
        """Say what went wrong, or break off what had begun."""
        self._forwarded = None
        self._drop_encoder()
        self._fail(error)

    def _open_tunnel(self, head: ResponseHead) -> None:
        """Let bytes pass both ways from here on (RFC 9110 section 7.8)."""
        protocol = forwarding.upgrade(self.head)
        forwarded = self._forwarded
        if protocol is None or forwarded is None:
            # Nobody asked for another protocol: there is nothing that we could pass on.
            if forwarded is not None:
                forwarded.abandon()
            self._forwarded = None
            self._fail(OriginSpokeNonsense("switched protocols without being asked to"))
            return
        self._tunnel = True
        self.reply.started = True
        self.reply.status = 101
        self.reply.persistent = False
        lines = forwarding.end_to_end(head.fields).encode()
        self._client.write(
            b"HTTP/1.1 101 Switching Protocols\r\n%bConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
            % (lines, head.fields.get(b"upgrade") or protocol)
        )
        forwarded.open_tunnel(self._client.open_tunnel())

    # Its end.

    def room(self) -> None:
        """Go on: the client takes again."""
        encoder = self._encoder
        if self._forwarded is not None and (encoder is None or encoder.backlog <= BACKLOG_BYTES):
            self._forwarded.resume()

    def _drop_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.drop()

    def _let_go(self) -> None:
        self._drop_encoder()
        forwarded, self._forwarded = self._forwarded, None
        if forwarded is not None:
            forwarded.abandon()
