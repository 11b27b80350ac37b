"""Encoding with a dictionary: dcb by brotli and dcz by Zstandard (RFC 9842 sections 4 and 5).

The brotli package for Python takes no dictionaries, but the library in it does, and the package
exports the library's functions. Where one is built that doesn't, there is no dcb.
"""

import ctypes
import importlib.util
from collections.abc import Callable, Mapping
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any, Final

import zstandard

from gateway.policy.dictionaries import DCB, DCZ

_DCZ_LEVEL: Final = 19
_DCB_LEVEL: Final = 11
_DCZ_MAGIC: Final = b"\x5e\x2a\x4d\x18\x20\x00\x00\x00"
"""A skippable frame of 32 bytes, the dictionary's digest (section 5)."""
_DCB_MAGIC: Final = b"\xffDCB"

# From brotli/encode.h and brotli/shared_dictionary.h.
_RAW: Final = 0
_QUALITY: Final = 1
_WINDOW: Final = 2
_SIZE_HINT: Final = 5
_FINISH: Final = 2
_WINDOW_BITS: Final = 22
"""The window is 4 MiB, and those who decode dcb are held to 16 (section 4)."""
_SIZE: Final = POINTER(c_size_t)
_BYTES: Final = POINTER(c_void_p)
_SIGNATURES: Final[Mapping[str, list[Any]]] = {
    "CreateInstance": [c_void_p, c_void_p, c_void_p, c_void_p],
    "DestroyInstance": [None, c_void_p],
    "SetParameter": [c_int, c_void_p, c_int, c_uint32],
    "MaxCompressedSize": [c_size_t, c_size_t],
    "PrepareDictionary": [
        *(c_void_p, c_int, c_size_t, c_char_p, c_int),
        *(c_void_p, c_void_p, c_void_p),
    ],
    "DestroyPreparedDictionary": [None, c_void_p],
    "AttachPreparedDictionary": [c_int, c_void_p, c_void_p],
    "CompressStream": [c_int, c_void_p, c_int, _SIZE, _BYTES, _SIZE, _BYTES, _SIZE],
}
"""What each function returns, and what it takes."""


def dcz(body: bytes, dictionary: bytes, digest: bytes) -> bytes:
    """Return *body* as dcz, with *dictionary* whose SHA-256 is *digest*."""
    shared = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    # Such a dictionary has no number, and the frame says none.
    compressor = zstandard.ZstdCompressor(level=_DCZ_LEVEL, dict_data=shared, write_dict_id=False)
    return _DCZ_MAGIC + digest + compressor.compress(body)


def _library() -> Any:
    """Return the functions of the brotli library; None where they can't be had."""
    found = importlib.util.find_spec("_brotli")
    if found is None or found.origin is None:
        return None
    try:
        library = ctypes.CDLL(found.origin)
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library, f"BrotliEncoder{name}")
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError):
        return None
    return library


_brotli: Final = _library()


def dcb(body: bytes, dictionary: bytes, digest: bytes) -> bytes:
    """Return *body* as dcb, with *dictionary* whose SHA-256 is *digest*."""
    encoder = _brotli.BrotliEncoderCreateInstance(None, None, None)
    # It refers to the dictionary's bytes, which live as long as this call.
    prepared = _brotli.BrotliEncoderPrepareDictionary(
        _RAW, len(dictionary), dictionary, _DCB_LEVEL, None, None, None
    )
    try:
        if not encoder or not prepared:
            raise MemoryError
        for parameter, value in (
            (_QUALITY, _DCB_LEVEL),
            (_WINDOW, _WINDOW_BITS),
            (_SIZE_HINT, len(body)),
        ):
            _brotli.BrotliEncoderSetParameter(encoder, parameter, value)
        if not _brotli.BrotliEncoderAttachPreparedDictionary(encoder, prepared):
            raise MemoryError("brotli can't take the dictionary")
        return _DCB_MAGIC + digest + _compressed(encoder, body)
    finally:
        _brotli.BrotliEncoderDestroyInstance(encoder)
        _brotli.BrotliEncoderDestroyPreparedDictionary(prepared)


def _compressed(encoder: int, body: bytes) -> bytes:
    room = _brotli.BrotliEncoderMaxCompressedSize(len(body))
    out = ctypes.create_string_buffer(room)
    left_in, left_out = c_size_t(len(body)), c_size_t(room)
    next_in = ctypes.cast(c_char_p(body), c_void_p)
    next_out = c_void_p(ctypes.addressof(out))
    made = c_size_t(0)
    complete = _brotli.BrotliEncoderCompressStream(
        encoder,
        _FINISH,
        *(byref(left_in), byref(next_in)),
        *(byref(left_out), byref(next_out)),
        byref(made),
    )
    if not complete or left_in.value:
        raise MemoryError("brotli did not encode all of it")
    return out.raw[: made.value]


Encode = Callable[[bytes, bytes, bytes], bytes]
ENCODERS: Final[Mapping[str, tuple[Encode, int]]] = (
    {DCZ: (dcz, _DCZ_LEVEL)}
    if _brotli is None
    else {DCB: (dcb, _DCB_LEVEL), DCZ: (dcz, _DCZ_LEVEL)}
)
"""By coding: what encodes, and at which level. The first is the smallest."""
