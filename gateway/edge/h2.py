"""A client's connection that speaks HTTP/2 (RFC 9113), chosen in the TLS handshake.

The framing is the library h2's; what the requests mean is decided where those of HTTP/1.1
are: each becomes a head of the same kind, read by the same strict grammar, and an exchange.
Frames that cost us more than their sender are counted, and a client that sends too many of
them is told to calm down and let go.
"""

import asyncio
from http import HTTPStatus
from typing import cast

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame

from gateway.edge import asking, live_explain, refusal
from gateway.edge.asked import Asking, Cacheable
from gateway.edge.exchange import Exchange
from gateway.edge.h2_frames import is_nuisance, set_up
from gateway.edge.h2_request import as_http1
from gateway.edge.h2_stream import HeaderList, Stream, section
from gateway.edge.limits import NEVER, Nuisances, TooManyConnections, check_requests
from gateway.edge.refreshing import Refreshes
from gateway.edge.site import Site
from gateway.errors import BodyTooLarge, MalformedRequest, RequestRefused
from gateway.origin.upload import Upload
from gateway.policy.reuse import Deliver
from gateway.wire import framing
from gateway.wire.head import parse_request_head
from gateway.wire.message import RequestHead

_LAST_STREAM = 2**31 - 1
_UNDER_WAY_SECONDS = 1.0
"""For requests that were sent before their client heard that we drain."""


class Http2Connection(asyncio.Protocol):
    """Serves one connection's streams; `Frames` to each of them."""

    def __init__(self, site: Site, refreshes: Refreshes, address: bytes) -> None:
        self._site = site
        self._refreshes = refreshes
        self._streams: dict[int, Stream] = {}
        self._pumping = False
        self._seated = False
        self._seat: bytes | None = None
        self._nuisances = Nuisances()
        self._closing = False
        """Whether no request is taken any more."""
        self._draining = False
        """Whether clients were asked to begin none."""
        self._last = 0
        """The stream that was begun last."""
        self._trusted = False
        self.address = address
        self.has_room = True
        self.deadline = NEVER
        self.watched_in = 0
        self._frames: H2Connection
        """Begins with the connection."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the event loop)."""
        self._transport = cast("asyncio.Transport", transport)
        site = self._site
        if not self.address:
            peer = self._transport.get_extra_info("peername")
            self.address = str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        limits = site.snapshot.limits
        self._trusted = site.trusted.trusts(self.address)
        site.connections.add(self)
        site.counters.connections_open += 1
        site.counters.connections_accepted += 1
        self._frames = set_up(2 * limits.head_bytes)
        try:
            self._seat = site.crowd.enter(self.address, limits, trusted=self._trusted)
            self._seated = True
        except TooManyConnections as refused:
            site.counters.refused[int(refused.status)] += 1
            self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        self._write()
        site.watch.set(self, site.monotonic() + limits.idle_timeout)

    def data_received(self, data: bytes) -> None:
        """Act on frames (called by the event loop)."""
        if self._closing and not self._streams:
            return
        self._site.counters.received_bytes += len(data)
        try:
            events = self._frames.receive_data(data)
        except ProtocolError:
            # The library has said why in a GOAWAY.
            self._site.counters.refused[HTTPStatus.BAD_REQUEST] += 1
            self._end_at_once()
            return
        # What all of them are answered leaves in one go.
        self._pumping = True
        try:
            well = self._take_all(events)
        finally:
            self._pumping = False
        if well:
            self.pump()

    def _take_all(self, events: list[Event]) -> bool:
        """Act on *events*; return False when the connection is over."""
        # Requests that are cancelled already are never begun.
        cancelled = {each.stream_id for each in events if isinstance(each, StreamReset)}
        for event in events:
            if is_nuisance(event, self._streams) and self._nuisances.too_many(
                self._site.monotonic()
            ):
                self._site.counters.refused[HTTPStatus.TOO_MANY_REQUESTS] += 1
                self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM)
                return False
            self._take(event, cancelled)
            if self._transport.is_closing():
                return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of everything (called by the event loop)."""
        site = self._site
        self._closing = True
        self.has_room = False
        site.watch.discard(self)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.leave()
        if self._seated:
            site.crowd.leave(self._seat)
        site.counters.connections_open -= 1
        site.left(self)

    def pause_writing(self) -> None:
        """Note that the client takes too little; read no more of what it sends either."""
        self.has_room = False
        self._transport.pause_reading()
        site = self._site
        site.watch.set(self, site.monotonic() + site.snapshot.limits.send_timeout)

    def resume_writing(self) -> None:
        """Go on (called by the event loop)."""
        self.has_room = True
        self.deadline = NEVER
        if self._draining:
            self._site.watch.set(self, self._site.monotonic())
        self._transport.resume_reading()
        self.pump()
        self._become_idle()

    def eof_received(self) -> bool:
        """Close: half a connection is of no use (called by the event loop)."""
        return False

    # Events.

    def _take(self, event: Event, cancelled: set[int]) -> None:
        match event:
            case RequestReceived() if event.stream_id not in cancelled:
                assert event.stream_id is not None
                ended = event.stream_ended is not None
                self._begin(event.stream_id, event.headers, ended=ended)
            case DataReceived():
                self._take_data(event)
            case StreamEnded():
                stream = self._streams.get(event.stream_id or 0)
                if stream is not None and stream.receiving:
                    stream.end_body()
            case StreamReset():
                stream = self._streams.pop(event.stream_id or 0, None)
                if stream is not None:
                    stream.leave()
                    self._become_idle()
            case ConnectionTerminated():
                self._closing = True
                self._become_idle()
            case TrailersReceived():
                # RFC 9110 section 6.5.1: what isn't understood may be discarded.
                pass
            case _:
                pass

    def _begin(self, number: int, headers: HeaderList, *, ended: bool) -> None:
        """Answer the request with *headers*; *ended* when it has no body."""
        stream = Stream(self._site, self, number, self.address)
        if self._closing:
            # RFC 9113 section 8.7: it may be repeated on another connection.
            self.reset(stream, ErrorCodes.REFUSED_STREAM)
            return
        self._streams[number] = stream
        self._last = number
        if not self._draining:
            self.deadline = NEVER
        try:
            self._ask(stream, headers, ended=ended)
        except RequestRefused as refused:
            self._refuse(stream, refused)

    def _ask(self, stream: Stream, headers: HeaderList, *, ended: bool) -> None:
        site = self._site
        limits = site.snapshot.limits
        raw = as_http1(headers)
        refusal.check_size(raw, limits)
        head = parse_request_head(raw, limits.field_count + 1)
        head.secure = True
        if self._trusted:
            stream.address = site.trusted.client(self.address, head.fields)
        body = framing.of_request(head.fields, head.minor)
        if not ended and body == framing.EMPTY:
            body = framing.CHUNKED
        expectation = head.fields.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise MalformedRequest(
                "only 100-continue can be expected", HTTPStatus.EXPECTATION_FAILED
            )
        asked = asking.ask(site, head, stream.address, framing.EMPTY if ended else body)
        asked.quota = site.hsts + asked.quota
        check_requests(site.counters.exchanges_running, limits)
        route_limit = asked.route.body_limit
        limit = limits.body_bytes if route_limit is None else route_limit
        if isinstance(body, framing.Sized) and body.length > limit:
            raise BodyTooLarge(limit)
        if isinstance(asked, Cacheable) and isinstance(asked.verdict, Deliver):
            if asked.route.cache.early_refresh:
                self._refreshes.draw(asked, asked.verdict, head, stream.address)
            if asked.shelf is not None:
                asked.shelf.visited = True
        self._exchange(stream, raw, head, asked, None if ended else body, limit)

    def _exchange(
        self,
        stream: Stream,
        raw: bytes,
        head: RequestHead,
        asked: Asking,
        body: framing.Framing | None,
        limit: int,
    ) -> None:
        explains = live_explain.ASKS in head.fields.index() and self._site.explainer.wanted(head)
        # Not the connection's end, but how an exchange may answer, is meant by persistent.
        exchange = Exchange(self._site, self._refreshes, stream, head, asked, persistent=True)
        exchange.explains = explains
        stream.exchange = exchange
        if body is None:
            exchange.start(raw, None)
            return
        upload = Upload(body, stream)
        stream.expect_body(upload, limit)
        exchange.start(raw, upload)

    def _take_data(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        flow_bytes = event.flow_controlled_length or 0
        if stream is None:
            if flow_bytes and event.stream_id is not None:
                self._acknowledge(flow_bytes, event.stream_id)
            return
        try:
            stream.take_data(event.data or b"", flow_bytes)
        except BodyTooLarge as refused:
            exchange, stream.exchange = stream.exchange, None
            started = exchange is not None and exchange.reply.started
            if exchange is not None:
                exchange.client_left()
            if started:
                self.reset(stream, ErrorCodes.CANCEL)
            else:
                self._refuse(stream, refused)

    def _refuse(self, stream: Stream, refused: RequestRefused) -> None:
        """Answer one request with an error; the others don't notice."""
        if stream.answered:
            return
        status = refused.status
        self._site.counters.refused[int(status)] += 1
        stream.receiving = stream.receiving or stream.upload is None
        head, _, body = refusal.answer(refused, self._site.clock()).partition(b"\r\n\r\n")
        stream.begin_answer(section(head), end=False)
        self.send_data(stream, body, end=True)
        stream.answered = True
        self.pump()

    # `Frames`.

    def send_headers(self, stream: Stream, headers: HeaderList, *, end: bool) -> None:
        """Send a header section."""
        try:
            self._frames.send_headers(stream.number, headers, end_stream=end)
        except ProtocolError:
            stream.answered = True

    def send_data(self, stream: Stream, data: bytes, *, end: bool) -> None:
        """Send some of a body; no more than `window` allows."""
        try:
            self._frames.send_data(stream.number, data, end_stream=end)
        except ProtocolError:
            stream.answered = True

    def window(self, stream: Stream) -> int:
        """Return how many bytes may be sent in one frame now."""
        try:
            window = self._frames.local_flow_control_window(stream.number)
        except ProtocolError:
            return 0
        return min(window, self._frames.max_outbound_frame_size)

    def acknowledge(self, stream: Stream, count: int) -> None:
        """Let the client send *count* bytes more."""
        self._acknowledge(count, stream.number)
        if not self._pumping:
            self._write()

    def _acknowledge(self, count: int, number: int) -> None:
        try:
            self._frames.acknowledge_received_data(count, number)
        except ProtocolError:
            # The connection is closing: there is no window any more.
            return

    def reset(self, stream: Stream, code: ErrorCodes) -> None:
        """End a stream before its time."""
        self._streams.pop(stream.number, None)
        stream.leave()
        try:
            self._frames.reset_stream(stream.number, code)
        except ProtocolError:
            # It was over already.
            return
        finally:
            self._write()
            self._become_idle()

    def pump(self) -> None:
        """Send what can be sent, a frame of each stream in turn."""
        if self._pumping:
            return
        self._pumping = True
        try:
            going_on = True
            while going_on and self.has_room:
                going_on = False
                for stream in tuple(self._streams.values()):
                    if stream.wants_to_send and self.has_room:
                        going_on = stream.send_some() or going_on
                    if stream.answered:
                        self._close(stream)
                    else:
                        stream.make_room()
                self._write()
        finally:
            self._pumping = False
        self._become_idle()

    def _close(self, stream: Stream) -> None:
        """Be done with a stream that was answered."""
        if stream.exchange is not None or self._streams.pop(stream.number, None) is None:
            return
        stream.leave()
        if stream.receiving:
            # RFC 9113 section 8.1: the answer is complete, the rest of the request isn't needed.
            try:
                self._frames.reset_stream(stream.number, ErrorCodes.NO_ERROR)
            except ProtocolError:
                return

    def _write(self) -> None:
        data = self._frames.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    # Its end.

    def _become_idle(self) -> None:
        if self._streams or self._transport.is_closing() or not self.has_room:
            return
        if self._closing:
            self._transport.close()
        elif self.deadline == NEVER:
            site = self._site
            site.watch.set(self, site.monotonic() + site.snapshot.limits.idle_timeout)

    def expire(self, now: float) -> None:  # noqa: ARG002
        """Act on a deadline that passed."""
        if not self.has_room:
            self._transport.abort()
        elif self._draining and not self._closing:
            self._closing = True
            self._announce_end(self._last)
            self._become_idle()
        elif not self._streams:
            self._say_goodbye(ErrorCodes.NO_ERROR)

    def _say_goodbye(self, code: ErrorCodes) -> None:
        self._frames.close_connection(code)
        self._end_at_once()

    def _end_at_once(self) -> None:
        self._closing = True
        self._write()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.leave()
        self._transport.close()
        # A client that doesn't read its goodbye isn't waited for.
        site = self._site
        self.has_room = False
        site.watch.set(self, site.monotonic() + site.snapshot.limits.head_timeout)

    def drain(self) -> None:
        """Take no more requests but those under way, and close when all are answered."""
        if self._closing or self._draining:
            return
        self._draining = True
        # RFC 9113 section 6.8: first ask for no more, and once what was on its way must have
        # come, say what was the last.
        self._announce_end(_LAST_STREAM)
        self._site.watch.set(self, self._site.monotonic() + _UNDER_WAY_SECONDS)

    def _announce_end(self, last: int) -> None:
        self._write()
        # The library can only say goodbye for good, and would send no answer after that.
        self._transport.write(GoAwayFrame(last_stream_id=last).serialize())

    def break_off(self) -> None:
        """Close now."""
        self._transport.abort()
