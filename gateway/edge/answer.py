"""How an exchange answers its client, whatever the answer is made of, and how it ends."""

from http import HTTPStatus
from typing import Protocol

from gateway.edge import forwarding
from gateway.edge.account import account
from gateway.edge.asked import Asking
from gateway.edge.deliver import Reply, compose
from gateway.edge.live_explain import explanation
from gateway.edge.site import Site
from gateway.errors import ExchangeFailed, GatewayError
from gateway.origin.upload import Upload
from gateway.policy import outcome
from gateway.policy.outcome import Word
from gateway.policy.ranges import Piece
from gateway.policy.reuse import Forwarded
from gateway.policy.stored import StoredResponse
from gateway.routing.route import Route
from gateway.wire.fields import NONE, FieldLine, Fields, elements, line
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead

_CLIENT_CLOSED_REQUEST = 499
"""What the log says when the client left before its answer began; the trade's number."""
_PLAIN_TEXT = line(b"Content-Type", b"text/plain; charset=utf-8")
_NO_STORE = line(b"Cache-Control", b"no-store")


class Client(Protocol):
    """The client's connection, as an exchange sees it."""

    address: bytes
    has_room: bool
    """Whether more should be written; `Exchange.room` is called when there is again."""
    multiplexed: bool
    """Whether it speaks HTTP/2."""

    def reply(self, *, persistent: bool) -> Reply:
        """Return what the answer is given to, in this client's framing."""

    def write(self, data: Piece) -> None:
        """Send *data*."""

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces* in one go."""

    def finished(self, *, persistent: bool) -> None:
        """Note that the answer is complete."""

    def break_off(self) -> None:
        """Close at once, so that the answer isn't taken for complete."""

    def open_tunnel(self) -> Upload:
        """Return what the client sends from now on, which is no HTTP any more."""

    def close_tunnel(self) -> None:
        """Close once all is sent."""


class Answer:
    """One request of one client, and what is sent for it."""

    __slots__ = ("_client", "_collapsed", "_over", "_site", "_upload", "_why",
                 "asked", "endless", "error", "explains", "head", "origin_answer", "origin_bytes",
                 "reply", "route", "started", "word")  # fmt: skip

    # Set by `Exchange.__init__`, in one go: three initialisers cost a microsecond more.
    _site: Site
    _client: Client
    _why: Forwarded | None
    _collapsed: bool
    _over: bool
    _upload: Upload | None
    asked: Asking
    origin_answer: ResponseHead | None
    """What the origin said, for the log; None where it wasn't asked."""
    origin_bytes: int
    """Of the origin's body, for the log."""
    explains: bool
    """Whether the client may know why the answer is what it is, and wants to."""
    head: RequestHead
    endless: bool
    """Whether the answer is a stream of events: then a client that closes has left."""
    route: Route
    reply: Reply
    started: float
    """Monotonic seconds."""
    word: Word
    error: str
    """What went wrong, in a word; empty while nothing did."""

    def _cache_status(self, status: int, kept: StoredResponse | None) -> bytes:
        return outcome.cache_status(
            forwarded=self._why,
            forwarded_status=status,
            stored=kept is not None and not self._collapsed,
            ttl=None if kept is None else kept.lifetime - kept.arrival.age_value,
            collapsed=self._collapsed,
        )

    def _hint(self) -> None:
        """Tell the client what it will need, while the origin makes the page."""
        if self.route.hints is None or self.reply.started:
            return
        client = self._client
        early = self._site.hints.early(self.route, self.head, multiplexed=client.multiplexed)
        if early:
            client.write(early)

    def _end_reply(self, trailers: Fields) -> None:
        """Send what ends the body; trailers only to those who said that they take them."""
        if len(trailers):
            coding = self.head.fields.get(b"te")
            if coding is None or b"trailers" not in elements(coding.lower()):
                trailers = NONE
        self.reply.end(forwarding.trailers(trailers) if len(trailers) else NONE)

    def _start_reply(
        self, head: ResponseHead, fields: Fields, body: Framing, kept: StoredResponse | None
    ) -> None:
        if isinstance(body, Sized):
            length: int | None = body.length
            if self.head.method == b"HEAD":
                length = _announced_length(head.fields)
        else:
            length = None
        kind = head.fields.get(b"content-type")
        self.endless = kind is not None and kind.startswith(b"text/event-stream")
        lines = forwarding.response_lines(fields, head.minor, self.route)
        self._start(head.status, head.reason, lines, length, self._cache_status(head.status, kept))

    def _start(
        self,
        status: int,
        reason: bytes,
        lines: tuple[FieldLine, ...],
        length: int | None,
        cache_status: bytes,
    ) -> None:
        if self.route.hints is not None and status == HTTPStatus.OK:
            lines = self._site.hints.linked(self.route, self.head, lines)
        head = compose(status, reason, lines, self.word, cache_status, self._site.clock())
        if self.asked.quota:
            head += self.asked.quota
        if self.explains:
            head += explanation(self.head, self.asked, self.origin_answer, cache_status)
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
        """Say what went wrong, or break off what had begun."""
        self._give_up(error, self._tell(error))

    def _give_up(self, error: GatewayError, reason: str) -> None:
        if self.reply.started:
            # Better a broken answer than one that looks whole (RFC 9112 section 8).
            account(self._site, self, self._client.address)
            self._close()
            self._client.break_off()
            return
        status = error.status if isinstance(error, ExchangeFailed) else HTTPStatus.BAD_GATEWAY
        self._answer_error(status, reason, f'the origin "{self.route.origin}" {error}')

    def _tell(self, error: GatewayError) -> str:
        """Let operators know what the origin did; return the word for it."""
        reason = error.reason if isinstance(error, ExchangeFailed) else "truncated"
        self.error = reason
        request = f"{self.head.method.decode()} {self.head.target.path.decode()}"
        self._site.trouble(self.route.origin, reason, f"the origin {error} ({request})")
        return reason

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
        """Want nothing more from wherever the answer comes."""

    def _finish(self) -> None:
        site = self._site
        client = self._client
        account(site, self, client.address)
        if not self._over:
            self._over = True
            site.counters.exchanges_running -= 1
        client.finished(persistent=self.reply.persistent)

    def _close(self) -> None:
        if not self._over:
            self._over = True
            self._site.counters.exchanges_running -= 1


def _announced_length(fields: Fields) -> int | None:
    """Return the Content-Length of a response to HEAD: what GET would have brought."""
    value = fields.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None
