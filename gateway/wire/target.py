"""Request targets: what the bytes after the method mean (RFC 9112 section 3.2).

A path is normalised once, and the same bytes serve route matching, the cache key and the
origin. Two spellings of one path (RFC 3986 section 6.2.2) become one; a path whose meaning
depends on who reads it (dot segments, an encoded slash, backslash or control character) is
refused, because caches are deceived by exactly those.
"""

import re
from functools import lru_cache

from gateway.errors import MalformedRequest
from gateway.wire.message import Target

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEXADECIMAL = frozenset(b"0123456789ABCDEFabcdef")
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+/?|/")
"""A path that is normal already: no escapes, no segment that begins with a dot or is empty."""
_PATH_ALLOWED = frozenset(b"!$&'()*+,;=:@/") | _UNRESERVED
_PATH_ESCAPED = frozenset(b'"<>[]^`{|}')
"""What people type and RFC 3986 wants escaped: escaped on the way through."""
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
"""Every visible character but the number sign."""
_REFUSED_WHEN_DECODED = frozenset(b"/\\") | frozenset(range(0x20)) | {0x7F}
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)([^#]*)")
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)


def normalise_path(path: bytes) -> bytes:
    """Return *path* in its one spelling.

    Escapes of unreserved characters are decoded, the rest is written in upper case.

    Raises:
        MalformedRequest: it doesn't begin with a slash, has a dot segment, a broken escape,
            an escaped slash, backslash or control character, or a character of no path.

    """
    if _PLAIN.fullmatch(path):
        return path
    if not path.startswith(b"/"):
        raise MalformedRequest("the path doesn't begin with a slash")
    out = bytearray()
    position = 0
    while position < len(path):
        octet = path[position]
        if octet == 0x25:
            digits = path[position + 1 : position + 3]
            if len(digits) != 2 or not _HEXADECIMAL.issuperset(digits):
                raise MalformedRequest("the path has a percent sign without two hex digits")
            decoded = int(digits, 16)
            if decoded in _REFUSED_WHEN_DECODED:
                raise MalformedRequest(
                    "the path has an escaped slash, backslash or control character"
                )
            if decoded in _UNRESERVED:
                out.append(decoded)
            else:
                out += b"%%%02X" % decoded
            position += 3
            continue
        if octet in _PATH_ALLOWED:
            out.append(octet)
        elif octet in _PATH_ESCAPED:
            out += b"%%%02X" % octet
        else:
            raise MalformedRequest("the path has a character that no path may have")
        position += 1
    normal = bytes(out)
    for segment in normal.split(b"/"):
        # With path parameters too: some servers drop them before they resolve the dots, and
        # some decode before they drop them.
        if segment.replace(b"%3B", b";").partition(b";")[0] in (b".", b".."):
            raise MalformedRequest("the path has a dot segment")
    return normal


def _split(path_and_query: bytes) -> Target:
    path, mark, query = path_and_query.partition(b"?")
    if mark and not _QUERY.fullmatch(query):
        raise MalformedRequest("the query has a character that no query may have")
    return Target(normalise_path(path), query if mark else None)


@lru_cache(maxsize=4096)
def origin_form(raw: bytes) -> Target:
    """Return the target that *raw*, beginning with a slash, names.

    Raises:
        MalformedRequest: see `normalise_path`; or the query has a space, control or
            non-ASCII character, or there is a fragment.

    """
    return _split(raw)


def absolute_form(raw: bytes) -> tuple[bytes, Target]:
    """Return authority and target of *raw* in absolute-form (RFC 9112 section 3.2.2).

    Raises:
        MalformedRequest: no http or https URI with an authority, or one with user
            information.

    """
    match = _ABSOLUTE.fullmatch(raw)
    if match is None or not match[1]:
        raise MalformedRequest("the request target is neither a path nor an http URI")
    rest: bytes = match[2]
    if not rest.startswith(b"/"):
        rest = b"/" + rest
    return host(match[1]), _split(rest)


@lru_cache(maxsize=1024)
def host(value: bytes) -> bytes:
    """Return a Host value or an authority in lower case (RFC 9110 section 7.2).

    Raises:
        MalformedRequest: the value is no ``uri-host [":" port]``, or a port without a host,
            which no http URI may have (RFC 9110 section 4.2.1). Empty is fine.

    """
    if not _HOST.fullmatch(value) or value.startswith(b":"):
        raise MalformedRequest("the Host is no host name with an optional port")
    return value.lower()
