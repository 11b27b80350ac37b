"""Where a body ends (RFC 9112 sections 6 and 7).

A message that can be read in two ways is how requests are smuggled, so what section 6.3
allows a lenient reader to guess, we refuse.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from gateway.errors import MalformedMessage, MalformedRequest
from gateway.wire.fields import NONE, Fields, elements
from gateway.wire.head import parse_field_lines

_DIGITS = re.compile(rb"[0-9]{1,18}")
_CODING = re.compile(rb"(?!chunked[ \t;])[!#$%&'*+\-.^_`|~0-9a-z]+(?:[ \t]*;[\x20-\x7e]*)?")
"""A transfer coding in lower case; chunked has no parameters."""

_REGISTERED = frozenset(
    {b"chunked", b"compress", b"deflate", b"gzip", b"identity", b"trailers", b"x-compress",
     b"x-gzip"}
)  # fmt: skip
"""The names in the registry of transfer codings (section 7.3)."""


@dataclass(frozen=True, slots=True)
class Sized:
    """The body is *length* bytes; none at all when that is 0."""

    length: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """The body comes in chunks and ends with an empty one (section 7.1)."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """The body ends when the origin closes the connection."""


Framing: TypeAlias = Sized | Chunked | UntilClose

EMPTY = Sized(0)
CHUNKED = Chunked()
UNTIL_CLOSE = UntilClose()


def of_request(fields: Fields, minor: int) -> Framing:
    """Return how the body of a request is framed.

    Raises:
        MalformedRequest: 400 when framing is ambiguous or malformed, 501 for a transfer
            coding that we don't know.

    """
    index = fields.index()
    coding = index.get(b"transfer-encoding")
    length = index.get(b"content-length")
    if coding is None:
        if length is None:
            return EMPTY
        if not _DIGITS.fullmatch(length):
            raise MalformedRequest("Content-Length is no plain number, or stands there twice")
        return Sized(int(length))
    if length is not None:
        raise MalformedRequest("Content-Length and Transfer-Encoding exclude one another")
    if minor == 0:
        raise MalformedRequest("HTTP/1.0 knows no Transfer-Encoding")
    if coding.lower() == b"chunked":
        return CHUNKED
    codings = elements(coding.lower())
    if not codings or not all(_CODING.fullmatch(each) for each in codings):
        raise MalformedRequest("Transfer-Encoding is no list of transfer codings")
    if b"chunked" in codings[:-1]:
        raise MalformedRequest("chunked has to be the last transfer coding, and only once")
    if codings == [b"chunked"]:
        raise MalformedRequest("Transfer-Encoding has an empty element")
    raise MalformedRequest("the transfer coding is not known here", HTTPStatus.NOT_IMPLEMENTED)


def of_response(method: bytes, status: int, fields: Fields, minor: int) -> Framing:
    """Return how the body of the response to *method* is framed (section 6.3).

    Raises:
        MalformedMessage: the response is framed in two ways, or by no number.

    """
    index = fields.index()
    coding = index.get(b"transfer-encoding")
    length = index.get(b"content-length")
    if coding is not None and length is not None:
        raise MalformedMessage("Content-Length and Transfer-Encoding exclude one another")
    size: int | None = None
    if length is not None:
        # Not `elements`: an empty one is no number either.
        values = {value.strip(b" \t") for value in length.split(b",")}
        if len(values) != 1 or not _DIGITS.fullmatch(number := values.pop()):
            raise MalformedMessage("Content-Length is no plain number, or two that differ")
        size = int(number)
    chunked = coding is not None and coding.lower() == b"chunked"
    if coding is not None and (minor == 0 or not (chunked or _is_made_up(coding.lower()))):
        # Passed on without its Transfer-Encoding, such a body would be taken for content.
        raise MalformedMessage("a transfer coding besides chunked, or chunked in HTTP/1.0")
    if method == b"HEAD" or status in (204, 304) or status < 200:
        return EMPTY
    if chunked:
        return CHUNKED
    return UNTIL_CLOSE if size is None else Sized(size)


def _is_made_up(coding: bytes) -> bool:
    """Return whether the transfer *coding* of a response is nobody's.

    Such a body ends with its connection (section 6.3). We asked for no coding, and under a
    name that isn't registered there is none to take off: what comes is the content. What
    looks like chunked might be read as that by somebody else.
    """
    return (
        _CODING.fullmatch(coding) is not None
        and coding not in _REGISTERED
        and b"chunked" not in coding
        and b";" not in coding
    )


_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_CHUNK_LINE_BYTES = 1024
_TRAILER_BYTES = 16 * 1024


class ChunkDecoder:
    """Takes the chunked coding off a body (RFC 9112 section 7.1).

    Feed it bytes until `done`; then `rest` is what came after the body and `trailers` are
    its fields.
    """

    __slots__ = ("_buffer", "_in_trailers", "_missing", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._missing = 0
        """Bytes of the current chunk that are still to come, its CRLF included."""
        self._in_trailers = False
        self.done = False
        self.rest = b""
        self.trailers: Fields = NONE

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces of the body that are in *data*.

        Raises:
            MalformedMessage: a chunk size, extension or trailer that breaks the grammar.

        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        position = 0
        end = len(data)
        while position < end or self._in_trailers:
            if self._missing:
                position = self._take(data, position, pieces)
                continue
            if self._in_trailers:
                self._feed_trailers(data[position:])
                return pieces
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                self._keep_line_start(data[position:])
                return pieces
            size = self._chunk_size(data[position:line_end])
            position = line_end + 2
            if size == 0:
                self._in_trailers = True
            else:
                self._missing = size + 2
        return pieces

    def _take(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        payload = self._missing - 2
        if payload > 0:
            piece = data[position : position + payload]
            pieces.append(piece)
            self._missing -= len(piece)
            return position + len(piece)
        expected = b"\r\n"[2 - self._missing :]
        found = data[position : position + self._missing]
        if not expected.startswith(found):
            raise MalformedMessage("a chunk is longer than its size said")
        self._missing -= len(found)
        return position + len(found)

    def _keep_line_start(self, start: bytes) -> None:
        # One more than the line may have: its CR.
        if len(start) > _CHUNK_LINE_BYTES + 1:
            raise MalformedMessage("a chunk size with its extensions is too long")
        if b"\n" in start or b"\r" in start[:-1]:
            raise MalformedMessage("a chunk size ends in a bare CR or LF")
        self._buffer = start

    @staticmethod
    def _chunk_size(raw: bytes) -> int:
        if len(raw) > _CHUNK_LINE_BYTES:
            raise MalformedMessage("a chunk size with its extensions is too long")
        match = _CHUNK_HEAD.fullmatch(raw)
        if match is None:
            raise MalformedMessage("a chunk size is no hexadecimal number")
        return int(match[1], 16)

    def _feed_trailers(self, data: bytes) -> None:
        if data.startswith(b"\r\n"):
            self.rest = data[2:]
        else:
            trailer_end = data.find(b"\r\n\r\n", 0, _TRAILER_BYTES + 4)
            if trailer_end < 0:
                # With up to three bytes of its end.
                if len(data) > _TRAILER_BYTES + 3:
                    raise MalformedMessage("the trailer is too long")
                self._buffer = data
                return
            self.trailers = Fields(parse_field_lines(data[:trailer_end].split(b"\r\n")))
            self.rest = data[trailer_end + 4 :]
        self._in_trailers = False
        self.done = True


LAST_CHUNK = b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    """Return *piece*, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
