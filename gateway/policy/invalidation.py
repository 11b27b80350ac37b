"""What a write makes wrong (RFC 9111 section 4.4).

A method that isn't known to be safe may have changed what its target answers. A success, or
a redirect, is the sign that it did.
"""

from typing import Final
from urllib.parse import urljoin, urlsplit

from gateway.errors import MalformedRequest
from gateway.wire import target as targets_on_the_wire
from gateway.wire.message import RequestHead, ResponseHead, Target

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""Safe by RFC 9110 section 9.2.1. Of the rest, known or not, any may have written."""
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def is_safe(method: bytes) -> bool:
    """Return whether *method* is known to change nothing at the origin."""
    return method in _SAFE


def targets(request: RequestHead, response: ResponseHead) -> list[Target]:
    """Return the targets at ``request.host`` whose stored responses must not be used again.

    The request's own, and where Location and Content-Location point, as long as they stay at
    this host: no host may invalidate another's. Empty for safe methods and for errors.
    """
    if is_safe(request.method) or not 200 <= response.status < 400:
        return []
    found = [request.target]
    for name in (b"location", b"content-location"):
        for reference in response.fields.every(name):
            named = resolved(reference, request)
            if named is not None and named not in found:
                found.append(named)
    return found


def resolved(reference: bytes, request: RequestHead) -> Target | None:
    """Return the target that a URI reference names; None when it is elsewhere or nowhere.

    Which scheme the client used isn't known here, so http and https of one authority are one.
    """
    host = request.host.decode("latin-1")
    base = f"http://{host}{request.target.encode().decode('latin-1')}"
    try:
        parts = urlsplit(urljoin(base, reference.decode("latin-1")))
        port = _DEFAULT_PORTS.get(parts.scheme)
        if port is None or parts.username is not None:
            return None
        if parts.netloc.lower().removesuffix(port) != _without_default_port(host):
            return None
        query = f"?{parts.query}" if parts.query or b"?" in reference.partition(b"#")[0] else ""
        return targets_on_the_wire.origin_form(f"{parts.path or '/'}{query}".encode("latin-1"))
    except (ValueError, MalformedRequest):
        return None  # what we can't read can't have been a key


def _without_default_port(host: str) -> str:
    for port in _DEFAULT_PORTS.values():
        host = host.removesuffix(port)
    return host
