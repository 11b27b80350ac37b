"""What a browser makes of dcb: the brotli library's decoder with a dictionary."""

import ctypes
import importlib.util
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p

_RAW = 0
_SUCCESS = 1
_MOST = 1 << 24


def decompress(body: bytes, dictionary: bytes) -> bytes:
    """Return what *body* says, which was made with *dictionary*."""
    found = importlib.util.find_spec("_brotli")
    assert found is not None
    assert found.origin is not None
    library = ctypes.CDLL(found.origin)
    library.BrotliDecoderCreateInstance.restype = c_void_p
    library.BrotliDecoderCreateInstance.argtypes = [c_void_p] * 3
    library.BrotliDecoderDestroyInstance.argtypes = [c_void_p]
    library.BrotliDecoderAttachDictionary.argtypes = [c_void_p, c_int, c_size_t, c_char_p]
    stream = library.BrotliDecoderDecompressStream
    stream.argtypes = [
        c_void_p,
        *(POINTER(c_size_t), POINTER(c_void_p)),
        *(POINTER(c_size_t), POINTER(c_void_p)),
        POINTER(c_size_t),
    ]
    decoder = library.BrotliDecoderCreateInstance(None, None, None)
    try:
        assert library.BrotliDecoderAttachDictionary(decoder, _RAW, len(dictionary), dictionary)
        out = ctypes.create_string_buffer(_MOST)
        left_in, left_out, made = c_size_t(len(body)), c_size_t(_MOST), c_size_t(0)
        next_in = ctypes.cast(c_char_p(body), c_void_p)
        next_out = c_void_p(ctypes.addressof(out))
        result = stream(
            decoder,
            *(byref(left_in), byref(next_in)),
            *(byref(left_out), byref(next_out)),
            byref(made),
        )
        assert result == _SUCCESS, result
        assert left_in.value == 0
        return out.raw[: made.value]
    finally:
        library.BrotliDecoderDestroyInstance(decoder)
