"""Content codings at work: whole bodies, bodies piece by piece, and back again.

Nothing here knows the event loop; what takes long is called from a pool's thread. All four
libraries let go of the interpreter's lock while they work.
"""

import secrets
import zlib
from typing import Final, Protocol

import brotli
import zstandard
from isal import isal_zlib

from gateway.policy.negotiation import Coding
from gateway.policy.stored import Form

WORTHWHILE: Final = 0.95
"""A body that stays above this share of its length is sent as it is."""
_GZIP_WBITS: Final = 31
_ZLIB_WBITS: Final = 15
_BR_FAST, _BR_BEST = 4, 11
_ZSTD_FAST, _ZSTD_BEST = 3, 19
_ISAL_FAST = 2
_ZLIB_BEST = 9
_STEP_BYTES: Final = 64 * 1024


class NotDecodable(ValueError):
    """A body isn't what its Content-Encoding says, or grows beyond what may be held."""


class Stream(Protocol):
    """A body on its way through a coding."""

    def step(self, data: bytes, *, flush: bool, end: bool) -> bytes:
        """Return what *data* brings; with *flush* all that a reader needs to see it whole."""


class _Brotli:
    def __init__(self, pad: int) -> None:
        self._compressor = brotli.Compressor(quality=_BR_FAST, lgwin=20)
        self._padding = _skipped(pad)

    def step(self, data: bytes, *, flush: bool, end: bool) -> bytes:
        begin = b""
        if self._padding:
            # A flush ends at a whole byte, where a meta-block of metadata may begin.
            header: bytes = self._compressor.flush()
            begin, self._padding = header + self._padding, b""
        out: bytes = begin + self._compressor.process(data) if data else begin
        if end:
            last: bytes = self._compressor.finish()
            return out + last
        flushed: bytes = self._compressor.flush() if flush else b""
        return out + flushed


def _skipped(size: int) -> bytes:
    """Return a meta-block of metadata, with *size* random bytes (RFC 7932 section 9.2)."""
    if not size:
        return b""
    # Not the last; no nibbles: metadata; reserved; its length less one takes one byte.
    return bytes((0b010110 | (size - 1 & 3) << 6, size - 1 >> 2)) + secrets.token_bytes(size)


class _Zstandard:
    def __init__(self, pad: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_FAST).compressobj()
        # Raw blocks of no bytes, not the last (RFC 8878 section 3.1.1.2).
        self._padding = b"\0\0\0" * round(pad / 3)

    def step(self, data: bytes, *, flush: bool, end: bool) -> bytes:
        out = self._compressor.compress(data) if data else b""
        if self._padding and data:
            # With the header out, blocks may follow.
            out += self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) + self._padding
            self._padding = b""
        if end:
            return out + self._compressor.flush()
        return out + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) if flush else out


class _Zlib:
    def __init__(self, wbits: int, pad: int) -> None:
        self._compressor = isal_zlib.compressobj(_ISAL_FAST, isal_zlib.DEFLATED, wbits)
        # Stored blocks of no bytes, not the last (RFC 1951 section 3.2.4).
        self._padding = b"\0\0\0\xff\xff" * round(pad / 5)

    def step(self, data: bytes, *, flush: bool, end: bool) -> bytes:
        out: bytes = b""
        if self._padding:
            # A flush ends at a whole byte, where a stored block may begin.
            out = self._compressor.flush(isal_zlib.Z_SYNC_FLUSH) + self._padding
            self._padding = b""
        out += self._compressor.compress(data) if data else b""
        if end:
            return out + self._compressor.flush()
        return out + self._compressor.flush(isal_zlib.Z_SYNC_FLUSH) if flush else out


def stream(coding: Coding, pad: int = 0) -> Stream:
    """Return a stream that encodes fast, with about *pad* bytes that mean nothing, at most 256."""
    match coding:
        case Coding.BR:
            return _Brotli(pad)
        case Coding.ZSTD:
            return _Zstandard(pad)
        case Coding.GZIP:
            return _Zlib(_GZIP_WBITS, pad)
        case Coding.DEFLATE:
            # RFC 9110 section 8.4.1.2: "deflate" is the zlib format.
            return _Zlib(_ZLIB_WBITS, pad)


def encode(coding: Coding, body: bytes, *, best: bool = False) -> bytes:
    """Return *body* encoded, fast or with *best* as small as the coding can."""
    match coding:
        case Coding.BR:
            encoded: bytes = brotli.compress(body, quality=_BR_BEST if best else _BR_FAST)
            return encoded
        case Coding.ZSTD:
            level = _ZSTD_BEST if best else _ZSTD_FAST
            return zstandard.ZstdCompressor(level=level).compress(body)
        case Coding.GZIP | Coding.DEFLATE:
            wbits = _GZIP_WBITS if coding is Coding.GZIP else _ZLIB_WBITS
            if best:
                compressor = zlib.compressobj(_ZLIB_BEST, zlib.DEFLATED, wbits)
                return compressor.compress(body) + compressor.flush()
            fast = isal_zlib.compressobj(_ISAL_FAST, isal_zlib.DEFLATED, wbits)
            return bytes(fast.compress(body) + fast.flush())


def level(coding: Coding, *, best: bool) -> int:
    """Return the level of *coding* that `encode` uses, as metrics name it."""
    match coding:
        case Coding.BR:
            return _BR_BEST if best else _BR_FAST
        case Coding.ZSTD:
            return _ZSTD_BEST if best else _ZSTD_FAST
        case Coding.GZIP | Coding.DEFLATE:
            return _ZLIB_BEST if best else _ISAL_FAST


def form(coding: Coding, body: bytes, *, best: bool = False, pad: int = 0) -> Form:
    """Return the form that *body* has in *coding*, with *pad* as in `stream`."""
    if pad:
        padded = stream(coding, pad).step(body, flush=False, end=True)
        # Made again, it would lose what hides its length.
        return formed(coding, padded, len(body), best=True)
    return formed(coding, encode(coding, body, best=best), len(body), best=best)


def formed(coding: Coding, encoded: bytes, plain_bytes: int, *, best: bool = False) -> Form:
    """Return the form whose bytes are *encoded*."""
    mark = b"%08x" % zlib.crc32(encoded)
    return Form(coding.value, encoded, plain_bytes, mark, best)


def is_worthwhile(found: Form) -> bool:
    """Return whether *found* is smaller than what it was made of, by more than its head costs."""
    return len(found.body) < found.plain_bytes * WORTHWHILE


def decode(content_encoding: bytes, body: bytes, limit: int) -> bytes:
    """Return *body* less the codings that *content_encoding* lists, at most *limit* bytes.

    Raises:
        NotDecodable: a coding isn't known, the body is corrupt or cut short, or more than
            *limit* bytes come out.

    """
    for name in reversed([each.strip().lower() for each in content_encoding.split(b",")]):
        if name in (b"", b"identity"):
            continue
        try:
            body = _decode(name, body, limit)
        except (brotli.error, zstandard.ZstdError, zlib.error) as error:
            raise NotDecodable(f"the body is no {name.decode('latin-1')}: {error}") from error
        if len(body) > limit:
            raise NotDecodable(f"the body grows beyond {limit} bytes when decoded")
    return body


def _decode(name: bytes, body: bytes, limit: int) -> bytes:
    if name == b"br":
        return _decode_brotli(body, limit)
    if name == b"zstd":
        pieces, size = [], 0
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            body, read_across_frames=True
        ) as reader:
            while size <= limit and (piece := reader.read(_STEP_BYTES)):
                pieces.append(piece)
                size += len(piece)
        if size <= limit:
            _check_frames(body)
        return b"".join(pieces)
    if name in (b"gzip", b"x-gzip", b"deflate"):
        decompressor = zlib.decompressobj(_ZLIB_WBITS if name == b"deflate" else _GZIP_WBITS)
        plain = decompressor.decompress(body, limit + 1)
        if len(plain) <= limit and not decompressor.eof:
            raise zlib.error("it ends too early")
        return plain
    raise NotDecodable(f"{name.decode('latin-1')} is no coding that we know")


def _check_frames(body: bytes) -> None:
    """Raise NotDecodable for a last frame cut short, which a reader passes over in silence.

    Only for a *body* known to be small when decoded: this doesn't bound what comes out.
    """
    while body:
        frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        frame.decompress(body)
        if not frame.eof:
            raise NotDecodable("the body is no zstd: it ends too early")
        body = frame.unused_data


def _decode_brotli(body: bytes, limit: int) -> bytes:
    decompressor = brotli.Decompressor()
    pieces = [decompressor.process(body, output_buffer_limit=_STEP_BYTES)]
    size = len(pieces[0])
    while size <= limit and not decompressor.is_finished():
        piece = decompressor.process(b"", output_buffer_limit=_STEP_BYTES)
        if not piece and decompressor.can_accept_more_data():
            raise NotDecodable("the body is no br: it ends too early")
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
