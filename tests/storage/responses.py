"""Stored responses for tests of stores, which look at nothing but their weight."""

from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives
from gateway.policy.stored import StoredResponse
from gateway.wire.fields import Fields


def response(body: bytes = b"", *, etag: bytes = b'"1"') -> StoredResponse:
    """Return a stored response whose parts are all its own, as a parser makes them."""
    lines = [
        (b"Content-Type", b"application/json"),
        (b"Cache-Control", b"max-age=60"),
        (b"ETag", etag),
        (b"Date", b"Fri, 01 Jan 2027 00:00:00 GMT"),
    ]
    fields = Fields([(n.lower(), bytes(bytearray(n)), bytes(bytearray(v))) for n, v in lines])
    fields.index()
    return StoredResponse(
        status=200,
        reason=b"OK",
        fields=fields,
        body=body,
        arrival=Arrival(1.8e9, 0.0, 1.8e9 + 0.1, 1.8e9 + 0.2),
        lifetime=60.0,
        directives=ResponseDirectives(),
    )
