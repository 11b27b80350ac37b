"""What is encoded with a dictionary is what decoders make of it again."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.dictionary_codings import ENCODERS, dcb, dcz
from tests.doubles import brotli_dictionary

OLD = "".join(f"export const value{each} = () => {each * each};\n" for each in range(400)).encode()
NEW = OLD.replace(b"value17 ", b"renamed ") + b"export const added = 1;\n"


def decoded(body: bytes, dictionary: bytes) -> bytes:
    """Return what *body* says, after its header (RFC 9842 sections 4 and 5)."""
    digest = hashlib.sha256(dictionary).digest()
    if body.startswith(b"\xff\x44\x43\x42" + digest):
        return brotli_dictionary.decompress(body[36:], dictionary)
    assert body.startswith(bytes.fromhex("5e2a4d1820000000") + digest)
    shared = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=shared).decompressobj().decompress(body[40:])


def test_both_codings_are_at_hand_and_brotli_comes_first() -> None:
    assert list(ENCODERS) == ["dcb", "dcz"]


@given(st.binary(min_size=1), st.binary(min_size=1), st.binary(), st.integers(0, 60))
def test_any_body_comes_back_by_any_dictionary(
    dictionary: bytes, own: bytes, end: bytes, times: int
) -> None:
    body = dictionary[len(own) :] + own * times + dictionary + end
    digest = hashlib.sha256(dictionary).digest()

    for encode in (dcb, dcz):
        assert decoded(encode(body, dictionary, digest), dictionary) == body


def test_a_large_body_refers_to_all_of_a_large_dictionary() -> None:
    old = b"".join(hashlib.sha256(b"%d" % each).digest() for each in range(65_000))
    new = b"/* next */" + old[1_000_000:] + old[:1_000_000]
    digest = hashlib.sha256(old).digest()

    for encode in (dcb, dcz):
        body = encode(new, old, digest)
        assert len(body) < len(new) / 5000
        assert decoded(body, old) == new


def test_threads_encode_side_by_side() -> None:
    digest = hashlib.sha256(OLD).digest()
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: dcb(NEW, OLD, digest), range(100)))

    (body,) = made
    assert decoded(body, OLD) == NEW
