"""A request of HTTP/2 in the form that everything behind reads: a head of HTTP/1.1."""

import re
from http import HTTPStatus

from gateway.edge.h2_stream import HeaderList
from gateway.errors import MalformedRequest

_UNSAFE = re.compile(rb"[\x00\r\n]")


def as_http1(headers: HeaderList) -> bytes:
    """Return the request that *headers* are (RFC 9113 section 8.3) as a head of HTTP/1.1.

    So both go through the same strict grammar. Cookies that were cut into crumbs are one
    again (section 8.2.3).

    Raises:
        MalformedRequest: a pseudo-header is missing, :authority and Host differ, or a name or
            value has what would end a line.

    """
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    crumbs: list[bytes] = []
    host: bytes | None = None
    for name, value in headers:
        if _UNSAFE.search(name) or _UNSAFE.search(value) or b":" in name[1:]:
            raise MalformedRequest("a field has a character that no field may have")
        if name.startswith(b":"):
            pseudo[name] = value
        elif name == b"cookie":
            crumbs.append(value)
        elif name == b"host":
            if host is not None and host != value:
                raise MalformedRequest("a request has exactly one Host")
            host = value
        else:
            lines.append(b"%b: %b\r\n" % (name, value))
    authority = pseudo.get(b":authority")
    if authority is not None and host is not None and authority.lower() != host.lower():
        raise MalformedRequest(":authority and Host name different hosts")
    named = host if authority is None else authority
    path = pseudo.get(b":path", b"")
    method = pseudo.get(b":method", b"")
    if method == b"CONNECT":
        raise MalformedRequest("CONNECT is not served here", HTTPStatus.METHOD_NOT_ALLOWED)
    if named is None or not named or pseudo.get(b":scheme") not in (b"https", b"http"):
        raise MalformedRequest("a request has a host, and a scheme that is https")
    if not path.startswith(b"/") and path != b"*":
        raise MalformedRequest("the path doesn't begin with a slash")
    if crumbs:
        lines.append(b"cookie: %b\r\n" % b"; ".join(crumbs))
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (method, path, named, b"".join(lines))
