"""One request that isn't a fresh hit, from its verdict to the last byte of its answer.

It takes the origin's response itself when the request passes the cache by, or reads along
with a `Fetch` that others may wait for too. Everything happens where bytes come in or a
buffer empties: there is no task, so nothing to cancel.
"""

from http import HTTPStatus
from typing import Protocol, assert_never

from gateway.edge import asking, forwarding, shelving
from gateway.edge.account import account
from gateway.edge.asked import Asking, Bypassing, Cacheable
from gateway.edge.collapse import Fetch, Fetches
from gateway.edge.deliver import Reply, compose
from gateway.edge.passes import RepeatedPass
from gateway.edge.select import select
from gateway.edge.site import Site
from gateway.errors import ExchangeFailed, GatewayError, OriginSpokeNonsense
from gateway.origin.request import OriginRequest
from gateway.origin.upload import Upload
from gateway.policy import downstream, invalidation, outcome, validation
from gateway.policy.age import arrived, current_age
from gateway.policy.outcome import Word
from gateway.policy.reuse import Deliver, Forwarded, Refuse, Validate
from gateway.policy.reuse import Fetch as FetchVerdict
from gateway.policy.rules import Scope
from gateway.policy.stored import StoredResponse
from gateway.wire.fields import NONE, FieldLine, Fields, elements, line
from gateway.wire.framing import EMPTY, Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead

_CLIENT_CLOSED_REQUEST = 499
"""What the log says when the client left before its answer began; the trade's number."""
SAFE = frozenset({b"GET", b"HEAD"})
"""Methods whose answers carry what a cache may say about them."""
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
_FLUSHED_BYTES = 8 * 1024
_PLAIN_TEXT = line(b"Content-Type", b"text/plain; charset=utf-8")
_NO_STORE = line(b"Cache-Control", b"no-store")


class Client(Protocol):
    """The client's connection, as an exchange sees it."""

    address: bytes
    has_room: bool
    """Whether more should be written; `Exchange.room` is called when there is again."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def write_pieces(self, pieces: list[bytes]) -> None:
        """Send *pieces* in one go."""

    def finished(self, *, persistent: bool) -> None:
        """Note that the answer is complete."""

    def break_off(self) -> None:
        """Close at once, so that the answer isn't taken for complete."""

    def open_tunnel(self) -> Upload:
        """Return what the client sends from now on, which is no HTTP any more."""

    def close_tunnel(self) -> None:
        """Close once all is sent."""


class Exchange:
    """Answers one request of one client."""

    __slots__ = ("_again", "_asked", "_client", "_collapsed", "_fetch", "_fetches",
                 "_forwarded", "_keeping", "_over", "_requested", "_site", "_tunnel", "_upload",
                 "_why", "error", "head", "position", "reply", "route", "started",
                 "word")  # fmt: skip

    def __init__(
        self,
        site: Site,
        fetches: Fetches,
        client: Client,
        head: RequestHead,
        asked: Asking,
        *,
        persistent: bool,
    ) -> None:
        self._site = site
        self._fetches = fetches
        self._client = client
        self._asked = asked
        self._why: Forwarded | None = None
        self._collapsed = False
        self._over = False
        self._tunnel = False
        self._upload: Upload | None = None
        self._forwarded: OriginRequest | None = None
        self._fetch: Fetch | None = None
        self._again: RepeatedPass | None = None
        self._keeping: shelving.Keeping | None = None
        self._requested = 0.0
        self.head = head
        self.route = asked.route
        self.position = 0
        self.reply = Reply(client, persistent=persistent)
        self.started = site.monotonic()
        """Monotonic seconds."""
        self.word = Word.BYPASS
        self.error = ""
        """What went wrong, in a word; empty while nothing did."""
        site.counters.exchanges_running += 1

    def start(self, raw: bytes, upload: Upload | None) -> None:
        """Begin to answer the request whose head is *raw*.

        *upload* is its body, None when there is none.
        """
        asked = self._asked
        self._upload = upload
        if isinstance(asked, Bypassing):
            self._why = asked.why
            self._relay(raw)
            return
        match asked.verdict:
            case Deliver() as verdict:
                self._deliver(verdict.stored, Word.HIT)
            case Refuse():
                self.word = Word.PASS
                self._answer_error(
                    HTTPStatus.GATEWAY_TIMEOUT, "only-if-cached", "nothing suitable is stored"
                )
            case Validate() as verdict:
                self._join(raw, asked, verdict.stored, verdict.why)
            case FetchVerdict() as verdict:
                self._join(raw, asked, None, verdict.why)
            case _:
                assert_never(asked.verdict)

    # Past the cache: the exchange takes the origin's response itself.

    def _relay(self, raw: bytes) -> None:
        head = self.head
        pool = self._site.pools[self.route.origin]
        upload = self._upload
        upgrade = forwarding.upgrade(head)
        before_client = forwarding.request_head(
            head,
            self._fields_for_origin(),
            pool.authority(head.host),
            EMPTY if upload is None else upload.framing,
            upgrade=upgrade,
        )
        if upload is None and head.method in SAFE and upgrade is None and self.reply.persistent:
            key = self._asked.key if isinstance(self._asked, Cacheable) else None
            again = RepeatedPass(head, self._asked, key, before_client)
            self._site.passes.note(raw, again)
            self._again = again
        self._forward(before_client)

    def start_again(self, again: RepeatedPass) -> None:
        """Begin to answer a request that was forwarded just now, byte for byte."""
        self._again = again
        asked = again.asked
        if isinstance(asked, Bypassing):
            self._why = asked.why
        else:
            assert not isinstance(asked.verdict, Deliver | Refuse)
            self._why = asked.verdict.why
            self.word = Word.PASS
        self._forward(again.before_client)

    def _forward(self, before_client: bytes) -> None:
        head = self.head
        self._requested = self._site.clock()
        forwarded = self._site.pools[self.route.origin].request(
            head.method,
            before_client + forwarding.of_client(self._client.address, head.host),
            self._upload,
            self,
        )
        if not self._over:
            self._forwarded = forwarded

    def _fields_for_origin(self) -> Fields:
        if isinstance(self._asked, Cacheable) and self.route.cache.scope is Scope.PUBLIC:
            # What everybody shares must not have been made for somebody.
            return self.head.fields.without(forwarding.CREDENTIALS)
        return self.head.fields

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
        again = self._again
        if again is None:
            self.take_head(head, body)
            self.take_piece(data)
            self.take_end(NONE)
            return
        reply = self.reply
        # Identity: the origin's connection knows heads that it has read before.
        if again.response is head:
            reply.started = True
            reply.status = head.status
            reply.body_bytes = len(data)
            self._client.write(again.answer_head + data)
            self._finish()
            return
        self.take_head(head, body)
        if self._keeping is None and reply.persistent:
            again.response = head
            again.answer_head = reply.head
        self.take_piece(data)
        self.take_end(NONE)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Begin the answer with the origin's response."""
        if head.status == 101:
            self._open_tunnel(head)
            return
        rules = self.route.cache
        method = self.head.method
        if method not in SAFE:
            self._invalidate(head)
            fields = head.fields
            if not rules.enabled:
                fields = downstream.fields_for_client(fields, rules, None, head.status)
            self._start_reply(head, fields, body, None)
            return
        kept = None
        if isinstance(self._asked, Cacheable):
            kept = self._consider(self._asked, head, body)
        fields = downstream.fields_for_client(
            head.fields, rules, None if kept is None else kept.lifetime, head.status
        )
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
        self._keeping = shelving.consider(site, self.head, head, body, rules, arrival)
        if self._keeping is None:
            return None
        self._fetches.remember_together(asked.key)
        self.word = Word.MISS
        return self._keeping.preview

    def _invalidate(self, head: ResponseHead) -> None:
        """Forget what an unsafe request made wrong (RFC 9111 section 4.4)."""
        for target in invalidation.targets(self.head, head):
            key = asking.key_of(self._site, self.head, target)
            if key is not None:
                self._site.memory.remove(key)

    def take_piece(self, data: bytes) -> None:
        """Pass some of the body on."""
        if self._tunnel:
            self.reply.body_bytes += len(data)
            self._client.write(data)
            return
        self.reply.piece(data)
        if self._keeping is not None and not self._keeping.add(data):
            self._keeping = None

    def take_break(self) -> None:
        """Send what has come so far; hold the origin back while the client takes no more."""
        self.reply.flush()
        if not self._client.has_room and self._forwarded is not None:
            self._forwarded.pause()

    def take_end(self, trailers: Fields) -> None:
        """Complete the answer."""
        if self._tunnel:
            self._close()
            self._client.close_tunnel()
            return
        if self._keeping is not None:
            assert isinstance(self._asked, Cacheable)
            shelving.keep(self._site, self._asked.key, self._keeping.complete())
        self._end_reply(trailers)
        self._finish()

    def take_failure(self, error: GatewayError) -> None:
        """Say what went wrong, or break off what had begun."""
        self._forwarded = None
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

    # Through the cache: the exchange reads along with a fetch.

    def _join(
        self, raw: bytes, asked: Cacheable, stored: StoredResponse | None, why: Forwarded
    ) -> None:
        self._why = why
        fetches = self._fetches
        if self.head.method != b"GET" or fetches.apart(asked.key):
            # A response to HEAD has no body to store, and what was found unfit to be shared
            # goes side by side: both are asked for as they are.
            self.word = Word.PASS
            self._relay(raw)
            return
        fetch = fetches.find(asked.key, self.head)
        if fetch is not None:
            self._collapsed = True
            self._site.counters.collapsed += 1
            self._fetch = fetch
            fetch.join(self)
            return
        # To be stored it has to come whole; whether this client has it already is for us to
        # find out.
        fetch = Fetch(
            self._site,
            fetches,
            asked.key,
            self.head,
            self._fields_for_origin().without(_CONDITIONS),
            self.route,
            stored,
        )
        self._fetch = fetch
        fetches.add(asked.key, fetch)
        fetch.join(self)
        fetch.start(self._client.address)

    def fetch_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on."""
        self.take_interim(head)

    def fetch_head(self, fetch: Fetch) -> None:
        """Begin the answer with what the fetch brought."""
        response = fetch.response
        assert response is not None
        assert fetch.body is not None
        stale = isinstance(self._asked, Cacheable) and isinstance(self._asked.verdict, Validate)
        rules = self.route.cache
        preview = fetch.preview()
        if preview is None:
            self.word = Word.PASS
            fields = downstream.fields_for_client(response.fields, rules, None, response.status)
        else:
            self.word = Word.EXPIRED if stale or self._why is Forwarded.STALE else Word.MISS
            status, reason, lines, _ = select(self.head, preview, rules)
            if status == 304:
                fetch.leave(self)
                self._fetch = None
                self._start(status, reason, lines, 0, self._cache_status(response.status, preview))
                self._finish()
                return
            fields = downstream.fields_for_client(
                response.fields, rules, preview.lifetime, response.status
            )
        self._start_reply(response, fields, fetch.body, preview)
        self.pump()

    def fetch_validated(self, stored: StoredResponse) -> None:
        """Answer with the stored response, which is good again."""
        self._fetch = None
        self._deliver(stored, Word.REVALIDATED)

    def fetch_released(self) -> None:
        """Ask again: what the fetch brought is for somebody else."""
        asked = self._asked
        assert isinstance(asked, Cacheable)
        assert self._why is not None
        self._fetch = None
        self._collapsed = False
        stored = asked.verdict.stored if isinstance(asked.verdict, Validate) else None
        self._join(b"", asked, stored, self._why)

    def fetch_failed(self, error: GatewayError) -> None:
        """Say what went wrong, or break off what had begun."""
        self._fetch = None
        self._fail(error)

    def pump(self) -> None:
        """Take what the fetch has, as far as the client has room."""
        fetch = self._fetch
        if fetch is None or not self.reply.started:
            return
        position = self.position
        while self._client.has_room and (piece := fetch.take(self.position)) is not None:
            self.position += 1
            self.reply.piece(piece)
            if len(piece) > _FLUSHED_BYTES:
                # Only what was written tells whether there is room for more.
                self.reply.flush()
        self.reply.flush()
        if self.position != position:
            fetch.taken()
        if fetch.ended and fetch.take(self.position) is None:
            self._end_reply(fetch.trailers)
            self._finish()

    # The answer.

    def _deliver(self, stored: StoredResponse, word: Word) -> None:
        """Answer with a stored response."""
        self.word = word
        asked = self._asked
        if isinstance(asked, Cacheable) and asked.shelf is not None:
            asked.shelf.visited = True
        status, reason, lines, body = select(self.head, stored, self.route.cache)
        now = self._site.clock()
        age = current_age(stored.arrival, now)
        lines = (*lines, line(b"Age", b"%d" % age))
        if word is Word.HIT:
            cache_status = outcome.cache_status(ttl=stored.lifetime - age)
        else:
            cache_status = self._cache_status(304, stored)
        self._start(status, reason, lines, len(stored.body), cache_status)
        if self.head.method != b"HEAD":
            self.reply.piece(body)
        self.reply.end(NONE)
        self._finish()

    def _cache_status(self, status: int, kept: StoredResponse | None) -> bytes:
        return outcome.cache_status(
            forwarded=self._why,
            forwarded_status=status,
            stored=kept is not None and not self._collapsed,
            ttl=None if kept is None else kept.lifetime - kept.arrival.age_value,
            collapsed=self._collapsed,
        )

    def _end_reply(self, trailers: Fields) -> None:
        """Send what ends the body; trailers only to those who said that they take them."""
        if len(trailers):
            coding = self.head.fields.get(b"te")
            if coding is None or b"trailers" not in elements(coding.lower()):
                trailers = NONE
        self.reply.end(trailers)

    def _start_reply(
        self, head: ResponseHead, fields: Fields, body: Framing, kept: StoredResponse | None
    ) -> None:
        if isinstance(body, Sized):
            length: int | None = body.length
            if self.head.method == b"HEAD":
                length = _announced_length(head.fields)
        else:
            length = None
        lines = forwarding.response_lines(fields, head.minor)
        self._start(head.status, head.reason, lines, length, self._cache_status(head.status, kept))

    def _start(
        self,
        status: int,
        reason: bytes,
        lines: tuple[FieldLine, ...],
        length: int | None,
        cache_status: bytes,
    ) -> None:
        head = compose(status, reason, lines, self.word, cache_status, self._site.clock())
        if self._upload is not None and not self._upload.ended:
            # What is left of the body won't be read as a request.
            self.reply.persistent = False
        bodiless = self.head.method == b"HEAD" or status in (204, 304)
        self.reply.start(
            head,
            status,
            None if status in (204, 304) else length,
            minor=self.head.minor,
            bodiless=bodiless,
        )

    def _fail(self, error: GatewayError) -> None:
        origin = self.route.origin
        reason = error.reason if isinstance(error, ExchangeFailed) else "truncated"
        self.error = reason
        request = f"{self.head.method.decode()} {self.head.target.path.decode()}"
        self._site.trouble(origin, reason, f"the origin {error} ({request})")
        if self.reply.started:
            # Better a broken answer than one that looks whole (RFC 9112 section 8).
            account(self._site, self, self._client.address)
            self._close()
            self._client.break_off()
            return
        status = error.status if isinstance(error, ExchangeFailed) else HTTPStatus.BAD_GATEWAY
        self._answer_error(status, reason, f'the origin "{origin}" {error}')

    def _answer_error(self, status: HTTPStatus, detail: str, text: str) -> None:
        body = f"{int(status)} {status.phrase}: {text}\n".encode()
        lines: tuple[FieldLine, ...] = (_PLAIN_TEXT, _NO_STORE)
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            lines = (*lines, line(b"Retry-After", b"1"))
        cache_status = outcome.cache_status(
            forwarded=self._why, collapsed=self._collapsed, detail=detail
        )
        self._start(int(status), status.phrase.encode(), lines, len(body), cache_status)
        self.reply.piece(body)
        self.reply.end(NONE)
        self._finish()

    # Its end.

    def room(self) -> None:
        """Go on: the client takes again."""
        if self._forwarded is not None:
            self._forwarded.resume()
        else:
            self.pump()

    def upload_stalled(self) -> None:
        """Give up on a client that stopped sending its body."""
        self._let_go()
        self.error = "client-too-slow"
        self._answer_error(HTTPStatus.REQUEST_TIMEOUT, self.error, "the body took too long")

    def client_left(self) -> None:
        """Let go: there is nobody to answer."""
        if self._over:
            return
        self._let_go()
        self.error = self.error or "client-left"
        if not self.reply.started:
            self.reply.status = _CLIENT_CLOSED_REQUEST
        account(self._site, self, self._client.address)
        self._close()

    def _let_go(self) -> None:
        forwarded, self._forwarded = self._forwarded, None
        if forwarded is not None:
            forwarded.abandon()
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.leave(self)

    def _finish(self) -> None:
        self._forwarded = None
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.leave(self)
        account(self._site, self, self._client.address)
        self._close()
        self._client.finished(persistent=self.reply.persistent)

    def _close(self) -> None:
        if not self._over:
            self._over = True
            self._site.counters.exchanges_running -= 1


def _announced_length(fields: Fields) -> int | None:
    """Return the Content-Length of a response to HEAD: what GET would have brought."""
    value = fields.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None
