"""One client's connection: bytes become requests, one after the other.

Requests are answered in the order in which they came. While one is being answered, what
follows it waits in a bounded buffer, and beyond that in the client.
"""

from http import HTTPStatus

from gateway.edge import asking, live_explain, refusal
from gateway.edge.asked import Cacheable
from gateway.edge.client_life import EXCHANGING, IDLE, NEVER, ClientLife, State
from gateway.edge.exchange import Exchange
from gateway.edge.flight import Flight
from gateway.edge.limits import Pace, TooManyRequests, check_requests
from gateway.edge.passes import RepeatedPass
from gateway.edge.request_body import RequestBody
from gateway.edge.trusted import says_https
from gateway.errors import BodyTooLarge, MalformedRequest, RequestRefused
from gateway.origin.upload import Upload
from gateway.policy.reuse import Deliver
from gateway.wire import framing
from gateway.wire.fields import elements
from gateway.wire.head import parse_request_head
from gateway.wire.message import RequestHead

_PIPELINE_BYTES = 64 * 1024
"""What may wait behind a request that is being answered."""
_LINGER_BYTES = 4 * 1024 * 1024


class ClientConnection(ClientLife):
    """A connection that a client opened."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Answer a head that is known, or look closer (called by the event loop)."""
        # Identity, not match, and no calls but the unavoidable: this runs on every hit, and
        # bench/ sees it.
        if self._state is IDLE:
            entry = self._heads.young.get(data)
            if entry is None:
                passed = self._passes.get(data)
                if (
                    passed is not None
                    and passed.stamp == self._stamp.value
                    and (passed.key is None or passed.key in self._side_by_side)
                ):
                    self._site.counters.received_bytes += len(data)
                    self._pass_again(passed)
                    return
                entry = self._heads.find(data)
            if entry is not None and (
                (entry.stamp == self._stamp.value and entry.shelf.live)
                or self._lane.renew(entry, self.address)
            ):
                entry.hits += 1
                self._active = True
                if entry.large_body:
                    self._transport.writelines((entry.wire, entry.large_body))
                else:
                    self._transport.write(entry.wire)
                if self._lane.logging:
                    self._lane.log_repeated(entry, self.address)
                return
        self._receive(data)

    # Requests.

    def _receive(self, data: bytes) -> None:
        match self._state:
            case State.IDLE | State.RECEIVING:
                self._buffer = self._buffer + data if self._buffer else data
                self._advance()
            case State.EXCHANGING if self._body is not None:
                self._feed_body(self._body, data)
            case State.EXCHANGING | State.FULL:
                self._buffer += data
                if len(self._buffer) > _PIPELINE_BYTES:
                    self._pause_reading()
            case State.TUNNEL if self._tunnel is not None:
                self._tunnel.feed(data)
            case State.LINGERING:
                self._lingered += len(data)
                if self._lingered > _LINGER_BYTES:
                    self._transport.abort()
            case State.TUNNEL | State.CLOSED:
                pass

    def _advance(self) -> None:
        """Answer what lies in the buffer, up to a request that has to wait."""
        if self._advancing:
            # An answer was ready at once: the loop below goes on, without growing the stack.
            return
        self._advancing = True
        try:
            self._advance_while_possible()
        finally:
            self._advancing = False

    def _advance_while_possible(self) -> None:
        limits = self._site.snapshot.limits
        while self._buffer and (self._state is IDLE or self._state is State.RECEIVING):
            if self._buffer.startswith(b"\r\n"):
                # RFC 9112 section 2.2: an empty line before a request is ignored.
                self._buffer = self._buffer[2:]
                continue
            head_end = self._buffer.find(b"\r\n\r\n")
            try:
                if head_end < 0:
                    refusal.check_unfinished(self._buffer, limits)
                    if self._state is IDLE:
                        self._state = State.RECEIVING
                        self._site.watch.set(self, self._site.monotonic() + limits.head_timeout)
                    return
                head, self._buffer = self._buffer[: head_end + 4], self._buffer[head_end + 4 :]
                self._state = IDLE
                self._begin(head)
            except RequestRefused as refused:
                self._refuse(refused)
                return

    def _begin(self, raw: bytes) -> None:
        """Answer the request whose head is *raw*, now or when the origin has answered."""
        site = self._site
        self._active = True
        limits = site.snapshot.limits
        site.counters.received_bytes += len(raw)
        refusal.check_size(raw, limits)
        head = parse_request_head(raw, limits.field_count)
        if self._secure or self._trusted:
            self._locate(head)
        body = framing.of_request(head.fields, head.minor)
        has_body = body is not framing.EMPTY and body != framing.EMPTY
        expectation = head.fields.index().get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise MalformedRequest(
                "only 100-continue can be expected", HTTPStatus.EXPECTATION_FAILED
            )
        explains = live_explain.ASKS in head.fields.index() and site.explainer.wanted(head)
        asked = asking.ask(site, head, self.address, body)
        if head.secure:
            asked.quota = site.hsts + asked.quota
        persistent = self._persists(head)
        if not explains and isinstance(asked, Cacheable) and isinstance(asked.verdict, Deliver):
            if asked.route.cache.early_refresh:
                self._refreshes.draw(asked, asked.verdict, head, self.address)
            if self._lane.deliver(self, raw, head, asked, asked.verdict, persistent=persistent):
                return
        check_requests(site.counters.exchanges_running, limits)
        limit = limits.body_bytes if asked.route.body_limit is None else asked.route.body_limit
        if isinstance(body, framing.Sized) and body.length > limit:
            raise BodyTooLarge(limit)
        self._state = EXCHANGING
        self.deadline = NEVER
        exchange = Exchange(site, self._refreshes, self, head, asked, persistent=persistent)
        exchange.explains = explains
        self._exchange = exchange
        if not has_body:
            exchange.start(raw, None)
            return
        upload = Upload(body, self)
        self._body = RequestBody(body, upload, limit)
        now = site.monotonic()
        self._pace = Pace(now)
        site.watch.set(self, self._pace.deadline(limits, now))
        exchange.start(raw, upload)
        if self._buffer and self._body is not None:
            rest, self._buffer = self._buffer, b""
            self._feed_body(self._body, rest)

    def _locate(self, head: RequestHead) -> None:
        """Find out who asks, and whether by https."""
        head.secure = self._secure
        if self._trusted:
            head.secure = head.secure or says_https(head.fields)
            self.address = self._site.trusted.client(self._peer, head.fields)

    def _pass_again(self, passed: RepeatedPass) -> None:
        """Forward a head that was forwarded just now."""
        site = self._site
        try:
            check_requests(site.counters.exchanges_running, site.snapshot.limits)
        except TooManyRequests as refused:
            self._refuse(refused)
            return
        self._state = EXCHANGING
        self._active = True
        self.deadline = NEVER
        # The log wants to know more than a flight does.
        if not self._lane.logging:
            now = site.monotonic()
            connection = passed.pool.lend(now, passed.asked_for)
            if connection is not None:
                passed.forward_for(self.address)
                flight = self._flight
                if flight is None:
                    flight = self._flight = Flight(site, self)
                flight.begin(passed, connection, now)
                return
        self.exchange_for(passed).start_again(passed)

    def exchange_for(self, passed: RepeatedPass) -> Exchange:
        """Return an exchange for a repeated pass, from now on in charge of its answer."""
        persistent = not self._site.draining and not self.half_closed
        exchange = Exchange(
            self._site, self._refreshes, self, passed.head, passed.asked, persistent=persistent
        )
        self._exchange = exchange
        return exchange

    def landed(self) -> None:
        """Note that a flight's answer is sent."""
        if self._state is EXCHANGING:
            self._become_idle()

    def _persists(self, head: RequestHead) -> bool:
        """Return whether the connection outlives the answer (RFC 9112 section 9.3)."""
        if self._site.draining:
            return False
        connection = head.fields.index().get(b"connection")
        if connection is None:
            return head.minor == 1
        if connection == b"keep-alive":
            return True
        options = elements(connection.lower())
        if b"close" in options:
            return False
        return head.minor == 1 or b"keep-alive" in options

    def _refuse(self, refused: RequestRefused) -> None:
        """Answer with an error and close: what follows can't be trusted to be a request."""
        self._buffer = b""
        self._site.counters.refused[int(refused.status)] += 1
        self._transport.write(refusal.answer(refused, self._site.clock()))
        self._linger()

    # The request's body.

    def _feed_body(self, body: RequestBody, data: bytes) -> None:
        site = self._site
        site.counters.received_bytes += len(data)
        if self._pace is not None and not self._upload_held:
            limits = site.snapshot.limits
            self.deadline = self._pace.deadline(limits, site.monotonic(), len(data))
        try:
            body.feed(data)
        except RequestRefused as refused:
            self._break_body(refused)
            return
        if body.ended and self._body is body:
            self._body = None
            self._buffer = body.rest
            self.deadline = NEVER
            body.upload.end()

    def _break_body(self, refused: RequestRefused) -> None:
        self._body = None
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        started = exchange.reply.started
        exchange.client_left()
        if started:
            self._transport.abort()
        else:
            self._refuse(refused)
