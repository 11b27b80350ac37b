"""Requests, responses and stored responses for tests of decisions, told by what differs."""

from gateway.policy import age, storing
from gateway.policy.age import Arrival
from gateway.policy.directives import parse_response
from gateway.policy.rules import OBEY_ORIGIN, CacheRules
from gateway.policy.stored import StoredResponse
from gateway.wire import dates
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead
from gateway.wire.target import origin_form

NOON = 1_800_000_000.0
"""When the responses of these tests are made; a whole second, as Date can tell it."""


def fields(*pairs: tuple[str, str]) -> Fields:
    """Return the fields that pairs of text make."""
    return Fields.of(*((name.encode(), value.encode("latin-1")) for name, value in pairs))


def request(*pairs: tuple[str, str], method: str = "GET", target: str = "/a") -> RequestHead:
    """Return a request for *target* at hub.example."""
    return RequestHead(
        method.encode(), origin_form(target.encode()), 1, b"hub.example", fields(*pairs)
    )


def response(*pairs: tuple[str, str], status: int = 200) -> ResponseHead:
    """Return a response made at noon, unless a Date is among its fields."""
    made = () if any(name.lower() == "date" for name, _ in pairs) else (("Date", date(0)),)
    return ResponseHead(status, b"", fields(*pairs, *made))


def date(seconds: float) -> str:
    """Return the HTTP date of an instant, in seconds after noon."""
    return dates.format(NOON + seconds).decode()


def arrival(head: ResponseHead, *, at: float = NOON) -> Arrival:
    """Return the arrival of a response that took no time."""
    return age.arrived(head.fields, at, at)


def decision(
    head: ResponseHead, asked: RequestHead | None = None, rules: CacheRules = OBEY_ORIGIN
) -> storing.Decision:
    """Return what is decided about a response that arrives at noon."""
    return storing.decide(asked or request(), head, rules, arrival(head))


def stored(
    *pairs: tuple[str, str],
    asked: RequestHead | None = None,
    rules: CacheRules = OBEY_ORIGIN,
    body: bytes = b"body",
    status: int = 200,
    at: float = NOON,
) -> StoredResponse:
    """Return a response stored at *at*."""
    head = response(*pairs, status=status)
    decided = storing.decide(asked or request(), head, rules, arrival(head, at=at))
    assert isinstance(decided, storing.Store), decided
    return storing.keep(decided, head, body, arrival(head, at=at))


def bare(*pairs: tuple[str, str], status: int = 200, lifetime: float = 60.0) -> StoredResponse:
    """Return a stored response of exactly these fields, whatever a cache thinks of them."""
    head = ResponseHead(status, b"", fields(*pairs))
    return StoredResponse(
        status, b"", head.fields, b"body", arrival(head), lifetime, parse_response(head.fields)
    )
