"""What holds for every message, not only for those that somebody thought of."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, MalformedMessage, MalformedRequest
from gateway.wire import framing, target
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import LAST_CHUNK, ChunkDecoder, chunk
from gateway.wire.head import parse_request_head, parse_response_head
from gateway.wire.message import RequestHead, ResponseHead
from tests.properties.messages import (
    any_methods,
    changed_bodies,
    changed_requests,
    changed_responses,
    chunked_bodies,
    encode_request,
    encode_response,
    paths,
    pieces,
    request_heads,
    response_heads,
)
from tests.wire.read import read_request, read_response

T = TypeVar("T")
E = TypeVar("E", bound=GatewayError)


def _read_or_refusal(read: Callable[[], T], refusal: type[E]) -> T | E:
    """Return what *read* returns, or how it refuses; it may raise nothing else."""
    try:
        return read()
    except refusal as refused:
        return refused


# Heads.


@given(request_heads(any_methods.filter(lambda method: method not in {b"CONNECT", b"TRACE"})))
def test_a_request_head_that_is_sent_is_read_as_it_was_meant(
    made: tuple[RequestHead, bytes],
) -> None:
    head, raw = made

    assert parse_request_head(raw) == head
    assert encode_request(parse_request_head(raw)) == raw


@given(response_heads())
def test_a_response_head_that_is_sent_is_read_as_it_was_meant(
    made: tuple[ResponseHead, bytes],
) -> None:
    head, raw = made

    assert parse_response_head(raw) == head
    assert encode_response(parse_response_head(raw)) == raw


@given(changed_requests | st.binary(max_size=200) | st.binary().map(lambda raw: raw + b"\r\n\r\n"))
def test_any_bytes_are_a_request_or_refused_with_a_status(raw: bytes) -> None:
    read = _read_or_refusal(lambda: read_request(raw)[0], MalformedRequest)

    if isinstance(read, MalformedRequest):
        assert int(read.status) in {400, 405, 431, 501, 505}
        assert str(read)
    else:
        # What is sent on has one meaning: reading it again changes nothing.
        assert read_request(encode_request(read))[0] == read


@given(changed_responses | st.binary(max_size=200) | st.binary().map(lambda raw: raw + b"\r\n\r\n"))
def test_any_bytes_are_a_response_or_refused(raw: bytes) -> None:
    read = _read_or_refusal(lambda: read_response(raw)[0], MalformedMessage)

    if isinstance(read, MalformedMessage):
        assert str(read)
    else:
        assert read_response(encode_response(read))[0] == read


@given(changed_requests)
def test_no_accepted_request_holds_what_splits_a_line(raw: bytes) -> None:
    try:
        head, _ = read_request(raw)
    except MalformedRequest:
        return
    parts = [head.method, head.host, head.target.encode()]
    parts += [part for _, name, value in head.fields for part in (name, value)]
    for part in parts:
        assert not set(part) & {0x00, 0x0A, 0x0D}
    assert not set(head.target.encode()) & {0x20, 0x09, 0x23}


# Paths.

_path_bytes = st.lists(
    st.sampled_from(
        [b"/", b"/", b"a", b"Z", b".", b"..", b";", b"%41", b"%2e", b"%2F", b"%5c", b"%c3%A9",
         b"%25", b"%", b"%7e", b"{", b'"', b"[", b"~", b"\\", b"#", b"?", b"\xc3", b"\0", b"=@:"]
    ),
    max_size=12,
).map(lambda some: b"/" + b"".join(some))  # fmt: skip


_any_path = _path_bytes | paths.map(str.encode)


def _normal(path: bytes) -> bytes | None:
    """Return the one spelling of *path*; None when it is refused."""
    try:
        return target.normalise_path(path)
    except MalformedRequest:
        return None


@given(_any_path | st.binary(max_size=12).map(lambda some: b"/" + some))
def test_a_normal_path_is_normal_already(path: bytes) -> None:
    normal = _normal(path)
    if normal is None:
        return

    assert target.normalise_path(normal) == normal
    assert unquote_to_bytes(normal) == unquote_to_bytes(path), "it means what it meant"


@given(_any_path)
def test_a_normal_path_has_nothing_that_two_readers_understand_differently(path: bytes) -> None:
    normal = _normal(path)
    if normal is None:
        return
    decoded = unquote_to_bytes(normal)

    assert decoded.count(b"/") == normal.count(b"/") == path.count(b"/")
    assert not {b".", b".."} & set(decoded.split(b"/"))
    assert not set(decoded) & {*range(0x20), 0x7F, 0x5C}
    assert set(normal) <= set(range(0x21, 0x7F)) - set(b'\\#?"<>[]^`{|}')


@given(_any_path, st.data())
def test_two_spellings_of_a_path_become_one(path: bytes, data: st.DataObject) -> None:
    normal = _normal(path)
    if normal is None:
        return
    unreserved = b"ABCXYZabcxyz0123456789-_~"
    respelled = b""
    position = 0
    while position < len(normal):
        octet = normal[position : position + 1]
        if octet == b"%":
            escape = normal[position : position + 3]
            respelled += data.draw(st.sampled_from([escape, escape.lower()]))
            position += 3
            continue
        if octet in unreserved and data.draw(st.booleans()):
            respelled += data.draw(st.sampled_from([b"%%%02X", b"%%%02x"])) % ord(octet)
        else:
            respelled += octet
        position += 1

    assert target.normalise_path(respelled) == normal


@given(st.binary(max_size=30))
def test_any_bytes_are_a_host_in_lower_case_or_refused(value: bytes) -> None:
    try:
        host = target.host(value)
    except MalformedRequest:
        return
    assert host == value.lower()
    assert target.host(host) == host


# Chunks.


def _feed(coded: bytes, cuts: list[int]) -> tuple[bytes, bytes, Fields, bool]:
    """Return body, rest, trailers and whether it ended, with *coded* cut at *cuts*."""
    decoder = ChunkDecoder()
    body = b""
    bounds = [0, *sorted(cut for cut in cuts if cut < len(coded)), len(coded)]
    for start, end in pairwise(bounds):
        body += b"".join(decoder.feed(coded[start:end]))
        if decoder.done:
            return body, decoder.rest + coded[end:], decoder.trailers, True
    return body, b"", NONE, False


cuts = st.lists(st.integers(0, 300), max_size=12)


@given(chunked_bodies(), st.binary(max_size=20), cuts)
def test_a_chunked_body_in_any_pieces_is_the_same_body(
    made: tuple[bytes, bytes, Fields], rest: bytes, where: list[int]
) -> None:
    body, coded, trailers = made

    assert _feed(coded + rest, where) == (body, rest, trailers, True)


@given(chunked_bodies(), st.data())
def test_a_body_that_was_cut_short_is_never_taken_for_complete(
    made: tuple[bytes, bytes, Fields], data: st.DataObject
) -> None:
    body, coded, _ = made
    short = coded[: data.draw(st.integers(0, len(coded) - 1))]

    found, _, _, done = _feed(short, [])

    assert not done
    assert body.startswith(found)


@given(changed_bodies() | st.binary(max_size=60), cuts)
def test_bytes_that_break_a_body_do_so_in_any_pieces(broken: bytes, where: list[int]) -> None:
    def outcome(cut: list[int]) -> tuple[bytes, bytes, Fields, bool] | None:
        try:
            return _feed(broken, cut)
        except MalformedMessage:
            return None

    outcomes = [outcome([]), outcome(where), outcome(list(range(len(broken))))]
    complete = [each for each in outcomes if each is not None and each[3]]

    # A line that can't end well may be refused before it ends, or only when it does.
    assert len({each for each in outcomes if each is not None}) <= 1
    if complete:
        assert outcomes == complete[:1] * 3
        body, rest, _, _ = complete[0]
        assert len(body) + len(rest) < len(broken), "framing is no body"


@given(pieces)
def test_what_we_send_in_chunks_is_read_as_it_was(some: list[bytes]) -> None:
    coded = b"".join(map(chunk, some)) + LAST_CHUNK

    assert _feed(coded, []) == (b"".join(some), b"", NONE, True)


@given(st.lists(st.tuples(st.sampled_from([b"Content-Length", b"Transfer-Encoding"]),
                          st.text("0159,+-x chunkedgzip\t", max_size=10).map(str.encode)),
                max_size=3))  # fmt: skip
def test_a_request_has_one_framing_or_none(some: list[tuple[bytes, bytes]]) -> None:
    fields = Fields.of(*some)
    framed = _read_or_refusal(lambda: framing.of_request(fields, 1), MalformedRequest)
    if isinstance(framed, MalformedRequest):
        assert framed.status in {400, 501}
        return
    lengths = fields.every(b"content-length")
    codings = fields.every(b"transfer-encoding")
    if framed == framing.CHUNKED:
        assert (lengths, [each.lower() for each in codings]) == ([], [b"chunked"])
    elif lengths:
        assert codings == []
        assert framed == framing.Sized(int(lengths[0]))
        assert lengths[0].isdigit()
        assert len(lengths) == 1
    else:
        assert (framed, codings) == (framing.EMPTY, [])


@pytest.mark.parametrize("minor", [0, 1])
@given(st.binary(max_size=12) | st.sampled_from([b"Chunked", b"chunked,"]), st.integers(200, 599))
def test_a_response_is_chunked_by_exactly_one_word(minor: int, coding: bytes, status: int) -> None:
    fields = Fields.of((b"Transfer-Encoding", coding))
    try:
        framed = framing.of_response(b"GET", status, fields, minor)
    except MalformedMessage:
        return
    assert minor == 1
    if status in {204, 304}:
        assert framed == framing.EMPTY
    elif coding.lower() == b"chunked":
        assert framed == framing.CHUNKED
    else:
        # A name that nobody registered: what comes is the content, to the connection's end.
        assert framed == framing.UNTIL_CLOSE
        assert b"chunked" not in coding.lower()
