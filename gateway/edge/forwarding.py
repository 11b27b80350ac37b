"""What changes in a head on its way through (RFC 9110 section 7.6).

Hop-by-hop fields end here in both directions, and what Connection nominates with them.
What a client says about where it comes from is replaced by what we know: a field that
anybody can send proves nothing.
"""

from gateway.policy.key import chosen_cookies
from gateway.policy.rules import CacheRules, Scope
from gateway.routing.changes import UNCHANGED
from gateway.routing.route import Route
from gateway.wire.fields import FieldLine, Fields, elements, line
from gateway.wire.framing import Chunked, Framing, Sized
from gateway.wire.message import RequestHead, Target

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1, and the Proxy-* fields, which are meant for us."""

_NEVER_NOMINATED = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"set-cookie",
        b"vary",
    }
)
"""Fields for every recipient: naming them in Connection (section 7.6.1 forbids it) must not
make the origin see another request than the one that was matched and keyed."""

_OURS_TO_SAY = frozenset(
    {
        b"content-length",
        b"forwarded",
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)

CREDENTIALS = frozenset({b"authorization", b"cookie"})
"""Who is asking; taken off a request whose answer everybody may share."""

PSEUDONYM = b"gateway"
"""Our name in Via, and the cache's in Cache-Status."""


UNKEYED = frozenset(
    {
        b"front-end-https",
        b"x-backend-host",
        b"x-forwarded-path",
        b"x-forwarded-prefix",
        b"x-forwarded-scheme",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-host",
        b"x-http-destinationurl",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-override-url",
        b"x-proxy-url",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-url-scheme",
    }
)
"""Fields by which frameworks let a client say that it asked for something else. Whoever can
send one could have another answer stored under a URL than the one that belongs there, so what
may be stored is asked for without them, unless the rules make one part of the key."""

_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"range", b"if-range"})
"""What is for us to see to once the whole is stored."""


def for_cacheable(fields: Fields, rules: CacheRules) -> Fields:
    """Return what of a client's *fields* goes to the origin when its answer may be stored."""
    index = fields.index()
    if not UNKEYED.isdisjoint(index):
        fields = fields.without(UNKEYED - frozenset(rules.key_headers))
    if rules.scope is not Scope.PUBLIC:
        return fields
    # What everybody shares must not have been made for somebody.
    stripped = fields.without(CREDENTIALS)
    if rules.key_cookies:
        chosen = chosen_cookies(fields.get(b"cookie"), rules.key_cookies)
        if chosen:
            pairs = b"; ".join([b"%b=%b" % pair for pair in chosen.items()])
            return stripped.plus(line(b"Cookie", pairs))
    return stripped


def for_fetch(fields: Fields, rules: CacheRules) -> Fields:
    """Return what of them goes to the origin when all of its answer is wanted, to be stored.

    Whether the client that caused it has it already, or wants a part, is for us to find out.
    """
    return for_cacheable(fields, rules).without(_CONDITIONS)


def hop_by_hop(fields: Fields) -> frozenset[bytes]:
    """Return the names of the fields that end at this hop."""
    connection = fields.get(b"connection")
    if connection is None:
        return HOP_BY_HOP
    nominated = frozenset(elements(connection.lower()))
    return HOP_BY_HOP | (nominated - _NEVER_NOMINATED)


def end_to_end(fields: Fields) -> Fields:
    """Return *fields* less those that end at this hop."""
    return fields.without(hop_by_hop(fields))


_NEVER_IN_TRAILERS = (
    HOP_BY_HOP
    | _NEVER_NOMINATED
    | frozenset(
        {
            b"age",
            b"content-encoding",
            b"content-range",
            b"date",
            b"expect",
            b"expires",
            b"location",
            b"max-forwards",
            b"pragma",
            b"range",
            b"retry-after",
            b"www-authenticate",
        }
    )
)
"""What frames, routes, authenticates, controls or describes a message has to come before its
content (RFC 9110 section 6.5.1): whoever merged it into the head would see another message."""


def trailers(fields: Fields) -> Fields:
    """Return what of the *fields* after a body goes on to a client that takes trailers."""
    return fields.without(_NEVER_IN_TRAILERS)


def via(fields: Fields, minor: int) -> bytes:
    """Return the Via value of a message that came by HTTP/1.*minor* (section 7.6.3)."""
    ours = b"1.%d %b" % (minor, PSEUDONYM)
    earlier = fields.get(b"via")
    return ours if earlier is None else b"%b, %b" % (earlier, ours)


def request_head(
    request: RequestHead,
    route: Route,
    fields: Fields,
    host: bytes,
    body: Framing,
    *,
    upgrade: bytes | None = None,
) -> bytes:
    """Return the head of *request* as it goes to the origin, all but what `of_client` adds.

    *fields* go for its own, changed as *route* says, *host* as the Host. With *upgrade*, the
    connection is asked to become that protocol.
    """
    gone = _gone_on_the_way(fields)
    kept = [item for item in fields.lines if item[0] not in gone]
    if route.request_fields is not UNCHANGED:
        # Last, so that no Connection of a client's takes off what the rules put on.
        kept = list(route.request_fields.apply(Fields(kept)).lines)
    lines = [b"%b: %b\r\n" % (name, value) for _, name, value in kept]
    if isinstance(body, Chunked):
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif isinstance(body, Sized) and (
        body.length or request.method not in (b"GET", b"HEAD", b"OPTIONS", b"DELETE")
    ):
        lines.append(b"Content-Length: %d\r\n" % body.length)
    if upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%bVia: %b\r\n" % (
        request.method,
        _target(request, route).encode(),
        host,
        b"".join(lines),
        via(fields, request.minor),
    )


def _target(request: RequestHead, route: Route) -> Target:
    if route.rewrite is None:
        return request.target
    return route.rewrite.target(route.paths, request.target)


def of_client(address: bytes, request: RequestHead) -> bytes:
    """Return what a head for the origin ends with: who asks, how, and by what name."""
    host = request.host
    scheme = b"https" if request.secure else b"http"
    return (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n"
        b'Forwarded: for=%b;host="%b";proto=%b\r\n\r\n'
        % (address, scheme, host, b'"[%b]"' % address if b":" in address else address, host, scheme)
    )


_GONE_FROM_REQUESTS = HOP_BY_HOP | _OURS_TO_SAY | {b"via"}


def _gone_on_the_way(fields: Fields) -> frozenset[bytes]:
    if fields.get(b"connection") is None:
        return _GONE_FROM_REQUESTS
    return _GONE_FROM_REQUESTS | hop_by_hop(fields)


def upgrade(request: RequestHead) -> bytes | None:
    """Return the protocol that a client wants to switch to (RFC 9110 section 7.8), or None.

    Only WebSocket, whose handshake protects itself; other tunnels could carry anything past
    the rules, HTTP/2 in clear text first of all.
    """
    wanted = request.fields.get(b"upgrade")
    connection = request.fields.get(b"connection")
    if (
        wanted is None
        or connection is None
        or wanted.lower() != b"websocket"
        or b"upgrade" not in elements(connection.lower())
        or request.minor == 0
        or request.method != b"GET"
    ):
        return None
    return wanted


_GONE_FROM_RESPONSES = HOP_BY_HOP | {b"content-length", b"via"}


def response_lines(fields: Fields, minor: int, route: Route) -> tuple[FieldLine, ...]:
    """Return the field lines of an origin's response that go on to the client of *route*.

    Content-Length is left out: whoever delivers the body says how it is framed.
    """
    gone = _GONE_FROM_RESPONSES
    if fields.get(b"connection") is not None:
        gone = gone | hop_by_hop(fields)
    kept = [item for item in fields.lines if item[0] not in gone]
    if route.response_fields is not UNCHANGED:
        kept = list(route.response_fields.apply(Fields(kept)).lines)
    kept.append((b"via", b"Via", via(fields, minor)))
    return tuple(kept)
