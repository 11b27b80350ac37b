"""Requests that are refused before anybody looks for a route: what for, and in which words.

What follows a refused request on its connection can't be trusted to be a request, so the
connection ends with the answer.
"""

import re
from http import HTTPStatus

from gateway.edge import forwarding
from gateway.edge.snapshot import Limits
from gateway.errors import MalformedRequest, RequestRefused
from gateway.policy.outcome import Word
from gateway.wire import dates

_BARE_LF = re.compile(rb"(?<!\r)\n")
_TOKEN_START = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")
_LINE_BYTES = 32
"""What a request line has besides its target: a long method and the version."""
_FURTHER = {
    HTTPStatus.METHOD_NOT_ALLOWED: b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: b"Retry-After: 1\r\n",
    HTTPStatus.TOO_MANY_REQUESTS: b"Retry-After: 1\r\n",
}
"""Field lines that go with a status."""


def check_unfinished(received: bytes, limits: Limits) -> None:
    """Raise MalformedRequest for what can't become a good head, without waiting for its end."""
    if b"\r\n" not in received and len(received) > limits.target_bytes + _LINE_BYTES:
        raise _too_long_target(limits)
    if len(received) > limits.head_bytes:
        raise _too_large_head(limits)
    if _BARE_LF.search(received):
        raise MalformedRequest("a line ends in a bare LF")
    if received != b"\r" and not _TOKEN_START.match(received):
        raise MalformedRequest("this is no HTTP/1.1 request")


def check_size(head: bytes, limits: Limits) -> None:
    """Raise MalformedRequest for a complete head that is larger than allowed."""
    if len(head) > limits.head_bytes:
        raise _too_large_head(limits)
    if len(head) > limits.target_bytes and head.find(b"\r\n") > limits.target_bytes + _LINE_BYTES:
        raise _too_long_target(limits)


def _too_large_head(limits: Limits) -> MalformedRequest:
    return MalformedRequest(
        f"the head is larger than {limits.head_bytes} bytes",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    )


def _too_long_target(limits: Limits) -> MalformedRequest:
    return MalformedRequest(
        f"the request target is longer than {limits.target_bytes} bytes",
        HTTPStatus.REQUEST_URI_TOO_LONG,
    )


def answer(refusal: RequestRefused, now: float) -> bytes:
    """Return the whole response to a refused request at *now* (epoch seconds)."""
    status = refusal.status
    text = f"{int(status)} {status.phrase}: {refusal}\n".encode()
    return (
        b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Cache-Control: no-store\r\nX-Cache: %b\r\nCache-Status: %b; detail=refused\r\n%b"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (
            status,
            status.phrase.encode(),
            dates.format(now),
            Word.BYPASS.encode(),
            forwarding.PSEUDONYM,
            _FURTHER.get(status, b""),
            len(text),
            text,
        )
    )
