"""Heads that are understood, and heads that are refused with the status the RFC gives."""

import time
from pathlib import Path

import pytest

from gateway.errors import MalformedMessage, MalformedRequest
from gateway.wire import framing, head
from gateway.wire.fields import Fields
from gateway.wire.framing import CHUNKED, EMPTY, UNTIL_CLOSE, Framing, Sized
from gateway.wire.head import parse_request_head, parse_response_head
from gateway.wire.message import RequestHead, ResponseHead, Target
from tests.wire.read import messages, read_request, read_response

HOST = b"Host: hub.test\r\n"


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("file", messages("requests/refused"), ids=named)
def test_a_request_is_refused_with_the_status_in_its_files_name(file: Path) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read_request(file.read_bytes())

    assert int(refused.value.status) == int(file.stem[:3])
    assert str(refused.value)


@pytest.mark.parametrize("file", messages("responses/refused"), ids=named)
def test_a_response_is_refused(file: Path) -> None:
    with pytest.raises(MalformedMessage) as refused:
        read_response(file.read_bytes())

    assert str(refused.value)


@pytest.mark.parametrize("file", messages("requests/accepted"), ids=named)
def test_a_request_is_accepted_and_means_the_same_when_it_is_sent_on(file: Path) -> None:
    request, framed = read_request(file.read_bytes())
    again, framed_again = read_request(_encode_request(request))

    assert again == request
    assert framed_again == framed


@pytest.mark.parametrize("file", messages("responses/accepted"), ids=named)
def test_a_response_is_accepted_and_means_the_same_when_it_is_sent_on(file: Path) -> None:
    response, framed = read_response(file.read_bytes())
    again, framed_again = read_response(_encode_response(response))

    assert again == response
    assert framed_again == framed


def _encode_request(request: RequestHead) -> bytes:
    first = b"%b %b HTTP/1.%d\r\n" % (request.method, request.target.encode(), request.minor)
    return first + request.fields.encode() + b"\r\n"


def _encode_response(response: ResponseHead) -> bytes:
    first = b"HTTP/1.%d %d %b\r\n" % (response.minor, response.status, response.reason)
    return first + response.fields.encode() + b"\r\n"


def test_a_request_head_is_taken_apart() -> None:
    request = parse_request_head(
        b"POST /a/%7eb?c=d HTTP/1.1\r\nhOsT: HUB.test:80\r\nX:  y z\t\r\nX: w\r\n\r\n"
    )

    assert request == RequestHead(
        b"POST",
        Target(b"/a/~b", b"c=d"),
        1,
        b"hub.test:80",
        Fields.of((b"hOsT", b"HUB.test:80"), (b"X", b"y z"), (b"X", b"w")),
    )


def test_a_response_head_is_taken_apart() -> None:
    response = parse_response_head(b"HTTP/1.0 404 Not  Here\r\nServer:a\r\n\r\n")

    assert response == ResponseHead(404, b"Not  Here", Fields.of((b"Server", b"a")), 0)


@pytest.mark.parametrize(
    ("first", "target", "host"),
    [
        pytest.param(b"GET /a HTTP/1.1", Target(b"/a", None), b"hub.test", id="origin-form"),
        pytest.param(b"GET /a? HTTP/1.1", Target(b"/a", b""), b"hub.test", id="empty-query"),
        pytest.param(b"GET /? HTTP/1.0", Target(b"/", b""), b"hub.test", id="http-1.0"),
        pytest.param(
            b"GET http://hub.test/a?b?c HTTP/1.1",
            Target(b"/a", b"b?c"),
            b"hub.test",
            id="absolute-form",
        ),
        pytest.param(
            b"GET http://HUB.TEST HTTP/1.1", Target(b"/", None), b"hub.test", id="no-path"
        ),
        pytest.param(
            b"GET http://hub.test?q HTTP/1.1", Target(b"/", b"q"), b"hub.test", id="query-alone"
        ),
        pytest.param(b"OPTIONS * HTTP/1.1", Target(b"*", None), b"hub.test", id="asterisk"),
        pytest.param(
            b"OPTIONS http://hub.test HTTP/1.1",
            Target(b"*", None),
            b"hub.test",
            id="options-for-the-whole-server",
        ),
        pytest.param(
            b"OPTIONS http://hub.test/ HTTP/1.1",
            Target(b"/", None),
            b"hub.test",
            id="options-for-the-root",
        ),
    ],
)
def test_each_form_of_a_target_names_host_path_and_query(
    first: bytes, target: Target, host: bytes
) -> None:
    request = parse_request_head(first + b"\r\n" + HOST + b"\r\n")

    assert (request.target, request.host) == (target, host)


@pytest.mark.parametrize(("digit", "minor"), [(b"0", 0), (b"1", 1), (b"2", 1), (b"9", 1)], ids=str)
def test_a_later_minor_version_is_spoken_to_as_1_1(digit: bytes, minor: int) -> None:
    assert parse_request_head(b"GET / HTTP/1." + digit + b"\r\n" + HOST + b"\r\n").minor == minor
    assert parse_response_head(b"HTTP/1." + digit + b" 200 OK\r\n\r\n").minor == minor


def test_the_number_of_fields_is_limited_as_asked() -> None:
    ten = b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 9 + b"\r\n"

    assert len(parse_request_head(ten, max_fields=10).fields) == 10
    with pytest.raises(MalformedRequest) as refused:
        parse_request_head(ten, max_fields=9)
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("fields", "framed"),
    [
        pytest.param(b"", EMPTY, id="nothing-said"),
        pytest.param(b"Content-Length: 0\r\n", Sized(0), id="zero"),
        pytest.param(b"Content-Length: 007\r\n", Sized(7), id="leading-zeros"),
        pytest.param(
            b"Content-Length: 999999999999999999\r\n", Sized(10**18 - 1), id="largest-length"
        ),
        pytest.param(b"Transfer-Encoding: chunked\r\n", CHUNKED, id="chunked"),
        pytest.param(b"transfer-ENCODING: \t ChunkeD \r\n", CHUNKED, id="chunked-otherwise"),
    ],
)
def test_a_requests_fields_say_where_its_body_ends(fields: bytes, framed: Framing) -> None:
    assert read_request(b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n")[1] == framed


@pytest.mark.parametrize(
    ("method", "first", "fields", "framed"),
    [
        pytest.param(b"GET", b"1.1 200", b"Content-Length: 5\r\n", Sized(5), id="sized"),
        pytest.param(b"GET", b"1.1 200", b"Content-Length: 5,5 , 5\r\n", Sized(5), id="agreeing"),
        pytest.param(b"GET", b"1.1 200", b"Transfer-Encoding: Chunked\r\n", CHUNKED, id="chunked"),
        pytest.param(b"GET", b"1.1 200", b"", UNTIL_CLOSE, id="until-close"),
        pytest.param(
            b"GET", b"1.1 200", b"Transfer-Encoding: Foo\r\n", UNTIL_CLOSE, id="made-up-coding"
        ),
        pytest.param(b"GET", b"1.0 200", b"", UNTIL_CLOSE, id="until-close-http-1.0"),
        pytest.param(b"HEAD", b"1.1 200", b"Content-Length: 5\r\n", EMPTY, id="head"),
        pytest.param(b"HEAD", b"1.1 200", b"Transfer-Encoding: chunked\r\n", EMPTY, id="head-ch"),
        pytest.param(b"HEAD", b"1.1 200", b"", EMPTY, id="head-until-close"),
        pytest.param(b"GET", b"1.1 204", b"", EMPTY, id="204"),
        pytest.param(b"GET", b"1.1 304", b"Content-Length: 5\r\n", EMPTY, id="304"),
        pytest.param(b"GET", b"1.1 103", b"", EMPTY, id="interim"),
        pytest.param(b"POST", b"1.1 500", b"Content-Length: 0\r\n", Sized(0), id="empty"),
    ],
)
def test_method_status_and_fields_say_where_a_responses_body_ends(
    method: bytes, first: bytes, fields: bytes, framed: Framing
) -> None:
    raw = b"HTTP/" + first + b" X\r\n" + fields + b"\r\n"

    assert read_response(raw, method)[1] == framed


@pytest.mark.parametrize(
    "coding",
    [
        b"gzip",
        b"x-gzip",
        b"foo, chunked",
        b"chunked, foo",
        b"foo, bar",
        b"xchunked",
        b"foo;a=b",
        b"",
    ],
)
def test_a_coding_under_which_the_content_may_be_hidden_is_refused(coding: bytes) -> None:
    with pytest.raises(MalformedMessage):
        framing.of_response(b"GET", 200, Fields.of((b"Transfer-Encoding", coding)), 1)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_two_framings_are_refused_even_where_no_body_follows(method: bytes, status: int) -> None:
    fields = Fields.of((b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"))

    with pytest.raises(MalformedMessage):
        framing.of_response(method, status, fields, 1)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b" " * 60_000 + b"\x01", id="spaces"),
        pytest.param(b"a" + b" " * 60_000 + b"\x01", id="spaces-after-a-letter"),
        pytest.param(b"a " * 30_000 + b"\x01", id="letters-and-spaces"),
        pytest.param(b"\t " * 30_000 + b"\x01", id="tabs-and-spaces"),
    ],
)
def test_a_hostile_field_costs_no_more_than_its_length(value: bytes) -> None:
    # Trying every split of the white space takes ten seconds.
    raw = b"HTTP/1.1 200 OK\r\nX:" + value + b"\r\n\r\n"
    before = time.process_time()

    with pytest.raises(MalformedMessage):
        parse_response_head(raw)

    assert time.process_time() - before < 1.0


def test_a_flood_of_unique_lines_leaves_a_bounded_table() -> None:
    for number in range(20_000):
        parse_response_head(b"HTTP/1.1 200 OK\r\nX: %d\r\n\r\n" % number)

    assert len(head._known_lines) <= head._KNOWN_LINES_LIMIT
    assert parse_response_head(b"HTTP/1.1 200 OK\r\nX: 7\r\n\r\n").fields.get(b"x") == b"7"


def test_a_line_too_long_to_remember_is_read_all_the_same() -> None:
    value = b"y" * 5000
    for _ in range(2):
        response = parse_response_head(b"HTTP/1.1 200 OK\r\nX: " + value + b"\r\n\r\n")
        assert response.fields.get(b"x") == value
    assert not any(len(line) > 512 for line in head._known_lines)


def test_a_name_spelled_in_two_ways_is_one_name_with_two_spellings() -> None:
    response = parse_response_head(b"HTTP/1.1 200 OK\r\nETag: 1\r\netag: 2\r\n\r\n")

    assert response.fields.get(b"etag") == b"1, 2"
    assert response.fields.encode() == b"ETag: 1\r\netag: 2\r\n"
