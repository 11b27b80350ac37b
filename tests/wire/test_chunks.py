"""The chunked coding: taken off exactly, and not a byte further (RFC 9112 section 7.1)."""

import pytest

from gateway.errors import MalformedMessage
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import LAST_CHUNK, ChunkDecoder, chunk


def decode(coded: bytes, step: int | None = None) -> tuple[bytes, bytes, Fields, bool]:
    """Return body, rest, trailers and whether the end came, fed *step* bytes at a time."""
    decoder = ChunkDecoder()
    body = b""
    position = 0
    while position < len(coded) and not decoder.done:
        end = len(coded) if step is None else position + step
        body += b"".join(decoder.feed(coded[position:end]))
        position = end
    return body, decoder.rest + coded[position:], decoder.trailers, decoder.done


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
@pytest.mark.parametrize(
    ("coded", "body", "rest", "trailers"),
    [
        pytest.param(b"0\r\n\r\n", b"", b"", NONE, id="empty"),
        pytest.param(b"2\r\nok\r\n0\r\n\r\n", b"ok", b"", NONE, id="one"),
        pytest.param(b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", b"ok!", b"", NONE, id="two"),
        pytest.param(b"00aA\r\n" + b"x" * 170 + b"\r\n0\r\n\r\n", b"x" * 170, b"", NONE, id="hex"),
        pytest.param(b"4\r\n\r\n0\r\r\n0\r\n\r\n", b"\r\n0\r", b"", NONE, id="crlf-inside"),
        pytest.param(b'2;a;b=c;d="e f"\r\nok\r\n0;z\r\n\r\n', b"ok", b"", NONE, id="extension"),
        pytest.param(b"2 ; a\r\nok\r\n0\r\n\r\n", b"ok", b"", NONE, id="space-before-extension"),
        pytest.param(b"0\r\n\r\nGET /b", b"", b"GET /b", NONE, id="rest"),
        pytest.param(b"0\r\n\r\n\r\n", b"", b"\r\n", NONE, id="rest-is-an-empty-line"),
        pytest.param(
            b"1\r\nx\r\n0\r\nA: 1\r\nB:2\r\n\r\nGET",
            b"x",
            b"GET",
            Fields.of((b"A", b"1"), (b"B", b"2")),
            id="trailers-and-rest",
        ),
        pytest.param(b"000\r\n\r\n", b"", b"", NONE, id="zero-with-more-digits"),
    ],
)
def test_a_chunked_body_is_read_to_its_end(
    coded: bytes, body: bytes, rest: bytes, trailers: Fields, step: int | None
) -> None:
    assert decode(coded, step) == (body, rest, trailers, True)


@pytest.mark.parametrize("step", [None, 1, 3])
@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(b"\r\n", id="no-size"),
        pytest.param(b";a\r\n", id="extension-without-size"),
        pytest.param(b"x\r\n", id="no-number"),
        pytest.param(b"0x2\r\nok\r\n", id="prefix"),
        pytest.param(b"+2\r\nok\r\n", id="plus"),
        pytest.param(b"-2\r\nok\r\n", id="minus"),
        pytest.param(b" 2\r\nok\r\n", id="space-before"),
        pytest.param(b"2 \r\nok\r\n", id="space-after"),
        pytest.param(b"2_0\r\nok\r\n", id="underscore"),
        pytest.param(b"2\nok\r\n0\r\n\r\n", id="bare-lf"),
        pytest.param(b"2\rok\r\n", id="bare-cr"),
        pytest.param(b"2;a\nb\r\nok\r\n", id="bare-lf-in-an-extension"),
        pytest.param(b"2;a\rb\r\nok\r\n", id="bare-cr-in-an-extension"),
        pytest.param(b"2;a\x00\r\nok\r\n", id="nul-in-an-extension"),
        pytest.param(b"2\r\nokX\r\n", id="longer-than-said"),
        pytest.param(b"2\r\nok\n0\r\n\r\n", id="lf-after-the-data"),
        pytest.param(b"2\r\nok0\r\n\r\n", id="nothing-after-the-data"),
        pytest.param(b"2\r\nok\r0\r\n\r\n", id="cr-after-the-data"),
        pytest.param(b"10000000000000000\r\n", id="2-to-the-64"),
        pytest.param(b"fffffffffffffffff\r\n", id="more-than-64-bits"),
        pytest.param(b"0" * 16 + b"\r\n\r\n", id="zeros-for-ever"),
        pytest.param(b"2;" + b"a" * 1023 + b"\r\nok\r\n", id="long-extension"),
        pytest.param(b"2;" + b"a" * 5000, id="extension-for-ever"),
        pytest.param(b"0\r\nno colon\r\n\r\n", id="trailer-without-colon"),
        pytest.param(b"0\r\nA : 1\r\n\r\n", id="trailer-space-before-the-colon"),
        pytest.param(b"0\r\nA: 1\r\n b\r\n\r\n", id="folded-trailer"),
        pytest.param(b"0\r\nA: 1\nB: 2\r\n\r\n", id="bare-lf-in-a-trailer"),
        pytest.param(b"0\r\nA: " + b"x" * 16 * 1024 + b"\r\n\r\n", id="long-trailer"),
        pytest.param(b"0\r\n" + b"A: x\r\n" * 10_000, id="trailers-for-ever"),
    ],
)
def test_what_breaks_the_framing_is_refused(coded: bytes, step: int | None) -> None:
    with pytest.raises(MalformedMessage):
        decode(coded, step)


@pytest.mark.parametrize("step", [None, 1])
def test_a_chunk_line_and_a_trailer_of_exactly_the_limit_are_read(step: int | None) -> None:
    extension = b"2;" + b"a" * 1022
    trailer = b"A: " + b"x" * (16 * 1024 - 3)

    body, rest, trailers, done = decode(
        extension + b"\r\nok\r\n0\r\n" + trailer + b"\r\n\r\nrest", step
    )

    assert (body, rest, done) == (b"ok", b"rest", True)
    assert len(trailers.lines[0][2]) == 16 * 1024 - 3


def test_an_unfinished_body_is_not_done() -> None:
    whole = b"2\r\nok\r\n0\r\nA: 1\r\n\r\n"
    for end in range(len(whole)):
        body, _, trailers, done = decode(whole[:end])
        assert not done
        assert b"ok".startswith(body)
        assert trailers == NONE


def test_a_large_chunk_is_handed_on_as_it_comes_and_not_collected() -> None:
    decoder = ChunkDecoder()

    assert decoder.feed(b"fffffff\r\nab") == [b"ab"]
    assert decoder.feed(b"cd") == [b"cd"]
    assert decoder._buffer == b""


def test_a_piece_becomes_a_chunk() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert decode(chunk(b"ab") + chunk(b"c") + LAST_CHUNK) == (b"abc", b"", NONE, True)
