"""Bytes that arrive: heads, chunks, targets, hosts and dates.

What is accepted has one meaning. So it is read the same again when it is written anew, it is
read alike by h11 and llhttp (`tests/wire/test_differential.py` lists the differences with
their reasons), and it doesn't depend on the pieces in which it came.
"""

from itertools import pairwise
from urllib.parse import unquote_to_bytes

from gateway.errors import MalformedMessage, MalformedRequest
from gateway.policy.key import cache_key
from gateway.policy.rules import QueryRules
from gateway.wire import dates, target
from gateway.wire.fields import NONE, Fields
from gateway.wire.framing import ChunkDecoder
from tests.fuzz.target import Target, contents
from tests.properties.messages import encode_request, encode_response
from tests.wire import others
from tests.wire.read import messages, read_request, read_response
from tests.wire.test_differential import check_request, check_response

GRAMMAR = (
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x7f", b"\xff",
    b"\r\n ", b"\r\nContent-Length: 5", b"\r\nContent-Length: +5", b"\r\nContent-Length: 5, 5",
    b"\r\nTransfer-Encoding: chunked", b"\r\nTransfer-Encoding: \x0bchunked",
    b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nTransfer-Encoding : chunked",
    b"\r\nConnection: close", b"\r\nConnection: Content-Length", b"\r\nUpgrade: h2c",
    b"\r\nExpect: 100-continue", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0",
)  # fmt: skip
REQUESTS = (b"\r\nHost: b", b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"OPTIONS * ",
            b"http://a/", b"//a", b"/%2e%2e/", b"/..;/", b"%2f", b"%5c", b"%00", b"?", b"#",
            b"@", b"[::1]", b"%c0%af")  # fmt: skip
REFUSALS = {400, 405, 431, 501, 505}


def cut(data: bytes) -> bytes:
    """Return *data* as a head: it ends at its first empty line, and with one."""
    return data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _explained(text: str, *, fits: bool = True) -> None:
    assert text, "refused without a word"
    assert fits, f"refused with a status that says something else: {text}"


def check_request_head(data: bytes) -> None:
    raw = cut(data)
    try:
        head, _ = read_request(raw)
    except MalformedRequest as refused:
        _explained(str(refused), fits=int(refused.status) in REFUSALS)
        return
    parts = [head.method, head.host, head.target.encode()]
    parts += [part for _, name, value in head.fields for part in (name, value)]
    assert not any(set(part) & {0x00, 0x0A, 0x0D} for part in parts), "a line could be split"
    if head.host == b"" or b"host" in head.fields:
        # HTTP/1.0 may name the host in its target alone.
        assert read_request(encode_request(head))[0] == head, "read anew, it means another"
    check_request(raw)


def check_response_head(data: bytes) -> None:
    raw = cut(data)
    try:
        head, _ = read_response(raw)
    except MalformedMessage as refused:
        _explained(str(refused))
        return
    assert read_response(encode_response(head))[0] == head, "read anew, it means something else"
    check_response(raw)


# Chunks.

Outcome = tuple[bytes, bytes, Fields, bool]


def decoded(coded: bytes, bounds: list[int]) -> Outcome | None:
    """Return body, rest, trailers and whether it ended, of *coded* cut at *bounds*.

    None when it is refused.
    """
    decoder = ChunkDecoder()
    body = b""
    try:
        for start, end in pairwise([0, *bounds, len(coded)]):
            body += b"".join(decoder.feed(coded[start:end]))
            if decoder.done:
                return body, decoder.rest + coded[end:], decoder.trailers, True
    except MalformedMessage:
        return None
    return body, b"", NONE, False


def check_chunks(data: bytes) -> None:
    whole = decoded(data, [])
    step = len(data) // 40 + 1
    in_two = [decoded(data, [at]) for at in range(1, len(data), step)]
    outcomes = [whole, decoded(data, list(range(1, len(data)))), *in_two]
    # A line that can't end well may be refused before it ends, or only when it does.
    finished = [each for each in outcomes if each is not None and each[3]]
    assert len({each for each in outcomes if each is not None}) <= 1, "pieces change the meaning"
    if not finished:
        return
    assert outcomes == finished[:1] * len(outcomes), "pieces change the meaning"
    body, rest, trailers, _ = finished[0]
    coded = data[: len(data) - len(rest)]
    if b";" in coded or {b"content-length", b"transfer-encoding"} & trailers.index().keys():
        # h11 knows no space before an extension, llhttp none that isn't a token; h11 judges
        # a trailer as if it framed something, where we pass on none of its kind.
        return
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert others.request_by_h11(head + coded).body == body
    assert others.request_by_llhttp(head + coded).body == body


# Targets: the same path for matching, key and origin.


def _target(raw: bytes) -> tuple[bytes, bytes | None] | None:
    try:
        found = target.origin_form(raw)
    except MalformedRequest:
        return None
    return found.path, found.query


def check_target(data: bytes) -> None:
    raw = b"/" + data
    found = _target(raw)
    if found is None:
        return
    path, query = found
    sent = target.origin_form(raw).encode()
    assert _target(sent) == found, "what the origin is sent would be matched and keyed as another"
    decoded_path = unquote_to_bytes(path)
    assert decoded_path == unquote_to_bytes(raw.partition(b"?")[0]), "it means another path"
    assert decoded_path.count(b"/") == path.count(b"/") == raw.partition(b"?")[0].count(b"/")
    assert not {b".", b".."} & {part.partition(b";")[0] for part in decoded_path.split(b"/")}
    assert not set(decoded_path) & {*range(0x20), 0x7F, 0x5C}
    assert query is None or not set(query) & {*range(0x21), 0x23, 0x7F}
    for spelling in (path.replace(b"a", b"%61"), path.lower() if b"%" in path else path):
        if unquote_to_bytes(spelling) == decoded_path:
            assert target.normalise_path(spelling) == path, "two spellings, two paths"


def check_host(data: bytes) -> None:
    try:
        host = target.host(data)
    except MalformedRequest:
        return
    assert host == data.lower()
    assert target.host(host) == host
    assert not set(host) & {*range(0x21), 0x2F, 0x40, 0x3F, 0x23, 0x5C, 0x7F}


def check_keys(data: bytes) -> None:
    """Two requests share a key only if partition, host, path and query are the same."""
    parts = [part.replace(b"\n", b"") for part in data.split(b"\n", 5)]
    parts += [b""] * (6 - len(parts))
    asked = []
    for partition, host, raw in (parts[:3], parts[3:]):
        try:
            asked.append((partition, target.host(host), target.origin_form(b"/" + raw)))
        except MalformedRequest:
            return
    plain, tidy = QueryRules(), QueryRules(sort=True, ignore=("utm_*",))
    one, other = (cache_key(*each, plain) for each in asked)
    assert (one == other) == (asked[0] == asked[1]), "the key isn't injective"
    for partition, host, wanted in asked:
        key = cache_key(partition, host, wanted, tidy)
        assert key.endswith(wanted.path) or b"?" in key
        named = key[len(key) - len(key.split(b":", 1)[1]) :][len(partition) + len(host) :]
        again = target.origin_form(named)
        assert cache_key(partition, host, again, tidy) == key, "in form twice is another form"


def check_date(data: bytes) -> None:
    instant = dates.parse(data)
    if instant is not None:
        assert dates.parse(dates.format(instant)) == instant


HEADS = (*messages("requests/accepted"), *messages("requests/refused"))
CODED = (
    b"3\r\nabc\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"A;ext=1\r\n0123456789\r\n00\r\nX-Sum: 1\r\n\r\n",
    b'1 ; a="b"\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n',
    b"fffffffffffffff\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
)
TARGETS = (
    Target("request-head", check_request_head, contents(HEADS), (*GRAMMAR, *REQUESTS)),
    Target(
        "response-head",
        check_response_head,
        contents((*messages("responses/accepted"), *messages("responses/refused"))),
        (*GRAMMAR, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 304 \r\n", b"HTTP/1.1 99 x\r\n"),
    ),
    Target("chunks", check_chunks, CODED, (*GRAMMAR, b"0", b"f", b"0x1", b"-1", b"1_0"), 400),
    Target(
        "target",
        check_target,
        (b"a/b?c=d", b"%61/%7e/%c3%a9", b"..;x/a", b"a//b/", b"%2E/", b"A%2fb", b"a;b=c/d"),
        (*REQUESTS, b"..", b"%2e", b";", b"/", b"\\", b"%", b"%25", b"\xc3\xa9", b"{", b"~"),
        200,
    ),
    Target(
        "host",
        check_host,
        (b"hub.test", b"HUB.test:8080", b"[::1]:80", b"a%20b", b""),
        (b"[", b"]", b":", b"@", b"/", b"%41", b" ", b".", b"\x00", b"99999", b"\xff"),
        100,
    ),
    Target(
        "keys",
        check_keys,
        (b"u\na\nb?c\nu\na\nb?c", b"\n\n\n\n\n", b"1\na\nb\n\n1a\nb?utm_x=1&a&a=2&b"),
        (b"\n", b",", b":", b"0", b"1", b"?", b"&", b"%3f", b"%3F", b"utm_a", b"=", b"+"),
        200,
    ),
    Target(
        "date",
        check_date,
        (
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"Thu, 29 Feb 2024 23:59:60 GMT",
        ),
        (b"0000", b"9999", b"60", b"29 Feb", b" ", b"-", b"gmt", b"\xb2"),
        60,
    ),
)
