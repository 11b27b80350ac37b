"""What is counted and logged when an exchange is over."""

from typing import Protocol

from gateway.edge.asked import Asking
from gateway.edge.deliver import Reply
from gateway.edge.logged import context
from gateway.edge.site import Site
from gateway.policy.outcome import Word
from gateway.routing.route import Route
from gateway.wire.message import RequestHead, ResponseHead

_SERVED = frozenset({Word.HIT, Word.STALE, Word.UPDATING, Word.REVALIDATED})
_SERVER_ERROR = 500


class Accountable(Protocol):
    """An exchange, as far as its account is concerned."""

    head: RequestHead
    reply: Reply
    route: Route
    word: Word
    started: float
    """Monotonic seconds."""
    asked: Asking
    origin_answer: ResponseHead | None
    """What the origin said; None where it wasn't asked, or there is no log to tell."""
    origin_bytes: int
    error: str
    """What went wrong, in a word; empty when nothing did."""


def account(site: Site, exchange: Accountable, address: bytes) -> None:
    """Count *exchange*, and log it if there is a log; *address* is the client's."""
    route = exchange.route
    reply = exchange.reply
    word: str = exchange.word.value
    labels = (route.name, word, reply.status // 100)
    site.counters.requests[labels] += 1
    site.counters.body_bytes[labels] += reply.body_bytes
    site.insight.asked(
        exchange.head,
        exchange.asked,
        exchange.origin_answer,
        served=word in _SERVED,
        body_bytes=reply.body_bytes,
    )
    if exchange.error or reply.status >= _SERVER_ERROR:
        site.insight.failed(exchange.head, route.name, route.origin, reply.status, exchange.error)
    log = site.access_log
    if log is None:
        return
    head = exchange.head
    log.write(
        (
            site.clock(),
            address.decode(),
            head.method,
            head.target.encode(),
            head.host,
            head.minor,
            reply.status,
            reply.body_bytes,
            site.monotonic() - exchange.started,
            route.name,
            word,
            route.origin,
            exchange.error,
            head.fields.get(b"user-agent") or b"",
            head.fields.get(b"referer") or b"",
            context(site, head, exchange.asked, exchange.origin_answer, exchange.origin_bytes),
        )
    )
