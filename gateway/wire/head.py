"""Heads from bytes, strictly (RFC 9112 sections 2 to 5).

A head is split at CRLF and each line held against the grammar. A line that was seen before
is known already: browsers and origins repeat theirs, and a look-up costs less than a match
(docs/decisions/0002-head-parser.md). What the grammar doesn't allow is refused here, before
anything else looks at it: bare CR or LF, NUL and other control characters, white space before
a colon, folded lines, other versions.
"""

import re
from http import HTTPStatus

from gateway.errors import MalformedMessage, MalformedRequest
from gateway.wire import target as targets
from gateway.wire.fields import FieldLine, Fields
from gateway.wire.message import RequestHead, ResponseHead, Target

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Possessive: a value of spaces with a control character after them would otherwise be tried
# in every split, 4 s for 32 KB.
_FIELD_LINE = re.compile(rb"(%b):[ \t]*+((?:[\x21-\x7e\x80-\xff](?:[\t -~\x80-\xff]*"
                         rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*" % _TOKEN)  # fmt: skip
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: ([\t -~\x80-\xff]*))?")
_WHOLE_SERVER = re.compile(rb"[^:]+://[^/?]+")

_KNOWN_LINES_LIMIT = 8192
_KNOWN_LINE_BYTES = 512
_known_lines: dict[bytes, FieldLine] = {}
_interned_names: dict[bytes, bytes] = {}


def _field_line(raw: bytes) -> FieldLine | None:
    match = _FIELD_LINE.fullmatch(raw)
    if match is None:
        return None
    name, value = match.groups()
    lower = name.lower()
    if len(_interned_names) < 1024:
        lower = _interned_names.setdefault(lower, lower)
    parsed: FieldLine = (lower, name, value)
    if len(raw) <= _KNOWN_LINE_BYTES:
        if len(_known_lines) >= _KNOWN_LINES_LIMIT:
            # A flood of unique lines costs the memory of the table and no more.
            _known_lines.clear()
        _known_lines[raw] = parsed
    return parsed


def parse_field_lines(raw_lines: list[bytes]) -> list[FieldLine]:
    """Return the field lines in *raw_lines*, none of which has its CRLF any more.

    Raises:
        MalformedMessage: a line breaks the grammar of RFC 9112 section 5.

    """
    known = _known_lines.get
    lines: list[FieldLine] = []
    for raw in raw_lines:
        parsed = known(raw) or _field_line(raw)
        if parsed is None:
            raise MalformedMessage(_what_is_wrong(raw))
        lines.append(parsed)
    return lines


def _what_is_wrong(raw: bytes) -> str:
    if raw[:1] in (b" ", b"\t"):
        return "a field line is folded or begins with white space"
    if b"\r" in raw or b"\n" in raw:
        return "a line ends in a bare CR or LF"
    name, colon, _ = raw.partition(b":")
    if not colon:
        return "a field line has no colon"
    if not re.fullmatch(_TOKEN, name):
        return "a field name has a character that no name may have, or space before the colon"
    return "a field value has a control character"


def parse_request_head(head: bytes, max_fields: int = 100) -> RequestHead:
    """Return the request head that *head* is, its closing empty line included.

    Raises:
        MalformedRequest: 400 for broken grammar or Host, 505 for another version of HTTP,
            431 for more than *max_fields* field lines, 405 for CONNECT and TRACE.

    """
    raw_lines = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(raw_lines[0])
    if match is None:
        raise MalformedRequest(_what_is_wrong_with_the_request_line(raw_lines[0]))
    method, raw_target, major, minor_digit = match.groups()
    if major != b"1":
        raise MalformedRequest(
            "this is HTTP/1.1; another major version was asked for",
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        )
    if len(raw_lines) - 1 > max_fields:
        raise MalformedRequest(
            f"more than {max_fields} field lines", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )
    del raw_lines[0]
    try:
        fields = Fields(parse_field_lines(raw_lines))
    except MalformedMessage as error:
        raise MalformedRequest(str(error)) from error
    # Any 1.x is spoken to as 1.1, which is the highest that we know (RFC 9110 section 2.5).
    minor = 0 if minor_digit == b"0" else 1
    authority, target = _authority_and_target(method, raw_target, fields, minor)
    return RequestHead(method, target, minor, authority, fields)


def _what_is_wrong_with_the_request_line(raw: bytes) -> str:
    if b"\r" in raw or b"\n" in raw:
        return "a line ends in a bare CR or LF"
    return "the first line is no request line of HTTP/1.1"


def _authority_and_target(
    method: bytes, raw_target: bytes, fields: Fields, minor: int
) -> tuple[bytes, Target]:
    hosts = fields.every(b"host")
    if len(hosts) > 1 or (not hosts and minor):
        raise MalformedRequest("a request of HTTP/1.1 has exactly one Host")
    authority = targets.host(hosts[0]) if hosts else b""
    if raw_target[0] == 0x2F:
        if method in (b"CONNECT", b"TRACE"):
            raise MalformedRequest(
                f"{method.decode()} is not served here", HTTPStatus.METHOD_NOT_ALLOWED
            )
        return authority, targets.origin_form(raw_target)
    if method in (b"CONNECT", b"TRACE"):
        raise MalformedRequest(
            f"{method.decode()} is not served here", HTTPStatus.METHOD_NOT_ALLOWED
        )
    if raw_target == b"*":
        if method != b"OPTIONS":
            raise MalformedRequest("only OPTIONS may have the target *")
        return authority, Target(b"*", None)
    named, target = targets.absolute_form(raw_target)
    # RFC 9112 section 3.2.2 lets the target win over Host. Two names that differ are an
    # attempt to be routed by one and cached by the other.
    if hosts and named != authority:
        raise MalformedRequest("the request target and Host name different hosts")
    if method == b"OPTIONS" and _WHOLE_SERVER.fullmatch(raw_target):
        # RFC 9112 section 3.2.4: a URI without path and query asks about the whole server.
        target = Target(b"*", None)
    return named, target


def parse_response_head(head: bytes) -> ResponseHead:
    """Return the response head that *head* is, its closing empty line included.

    Raises:
        MalformedMessage: it is none of HTTP/1.x.

    """
    raw_lines = head[:-4].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(raw_lines[0])
    if match is None:
        raise MalformedMessage("the first line is no status line of HTTP/1.1")
    minor, status, reason = match.groups()
    if status < b"100":
        raise MalformedMessage("the status code is below 100")
    del raw_lines[0]
    fields = Fields(parse_field_lines(raw_lines))
    return ResponseHead(int(status), reason or b"", fields, 0 if minor == b"0" else 1)
