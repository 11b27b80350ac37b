"""What a route does with a request besides caching it: answers it itself, or turns it away."""

from dataclasses import replace
from http import HTTPStatus

from gateway.edge.asked import Settled
from gateway.errors import BodyTooLarge
from gateway.origin.settings import Timeouts
from gateway.routing.answers import Redirect, Respond
from gateway.routing.route import Route
from gateway.wire.fields import Fields, line
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import RequestHead

_REFUSAL_FIELDS = Fields(
    [
        line(b"Content-Type", b"text/plain; charset=utf-8"),
        line(b"Cache-Control", b"no-store"),
    ]
)


PURGED = "purged"
"""The detail of a request that purged what it named."""


def denied(route: Route, address: bytes) -> Settled | None:
    """Return the answer to a client whose *address* may not ask; None when it may."""
    for access in route.access:
        if not access.admits(address):
            text = b"403 Forbidden: this is not open to your address\n"
            refusal = Respond(HTTPStatus.FORBIDDEN, text, _REFUSAL_FIELDS)
            return Settled(route, refusal, "access")
    return None


def settled(route: Route, head: RequestHead, address: bytes, body: Framing) -> Settled | None:
    """Return what the gateway answers itself to a client at *address*; None for nothing.

    Raises:
        BodyTooLarge: the request announces a longer body than the route takes.
        MalformedRequest: the route would ask its origin for what is no path.

    """
    if route.purge is not None and head.method == b"PURGE":
        if not route.purge.admits(address):
            text = b"403 Forbidden: your address may not purge\n"
            return Settled(route, Respond(HTTPStatus.FORBIDDEN, text, _REFUSAL_FIELDS), "access")
        return Settled(route, Respond(HTTPStatus.OK, b"purged\n", _REFUSAL_FIELDS), PURGED)
    if route.answer is not None:
        match route.answer:
            case Respond() as respond:
                return Settled(route, respond, "respond")
            case Redirect() as redirect:
                answer = redirect.respond(route.paths, head.target, head.host)
                return Settled(route, answer, "redirect")
    limit = route.body_limit
    if limit is not None and isinstance(body, Sized) and body.length > limit:
        raise BodyTooLarge(limit)
    if route.rewrite is not None:
        # What comes out is asked for later; here it shows whether it can be.
        route.rewrite.target(route.paths, head.target)
    return None


def timeouts(route: Route, origins: Timeouts) -> Timeouts | None:
    """Return how long *route* waits for its origin; None as long as *origins* say."""
    own = route.timeouts
    if own is None:
        return None
    return replace(
        origins,
        first_byte=origins.first_byte if own.first_byte is None else own.first_byte,
        between_bytes=origins.between_bytes if own.between_bytes is None else own.between_bytes,
        total=origins.total if own.total is None else own.total,
    )
