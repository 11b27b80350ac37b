"""Heads for properties: well-formed ones, and ones with something done to them."""

from hypothesis import strategies as st

from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead, Target
from tests.wire.read import messages

_TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
_VISIBLE = [*range(0x21, 0x7F), *range(0x80, 0x100)]

methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
any_methods = st.text(_TOKEN, min_size=1, max_size=8).map(str.encode)
names = st.sampled_from([b"Accept", b"X-A", b"x-a", b"Cookie", b"User-Agent", b"ETag"]) | st.text(
    _TOKEN, min_size=1, max_size=12
).map(str.encode)


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """A field value: visible characters, with spaces and tabs between them only."""
    ends = st.sampled_from(_VISIBLE)
    inside = draw(st.lists(st.sampled_from([*_VISIBLE, 0x20, 0x09]), max_size=20))
    return draw(
        st.just(b"")
        | ends.map(lambda octet: bytes([octet]))
        | st.tuples(ends, ends).map(lambda two: bytes([two[0], *inside, two[1]]))
    )


# Framing, Host and what makes llhttp wait for another protocol are added where they belong.
_SPECIAL = {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
pairs = st.tuples(names, values()).filter(lambda pair: pair[0].lower() not in _SPECIAL)

_segments = st.text("abcXYZ019._~!$&'()*+,;=:@-", max_size=6).filter(
    lambda text: text.partition(";")[0] not in {".", ".."}
)
paths = st.lists(_segments, min_size=1, max_size=4).map(lambda some: "/" + "/".join(some))
queries = st.none() | st.text("abc019=&%?/[]{}|\\^<>\"'`~", max_size=10)
hosts = st.sampled_from([b"hub.test", b"HUB.test:8080", b"[::1]:80", b"127.0.0.1", b""])
request_framings = st.sampled_from(
    [(), ((b"Content-Length", b"5"),), ((b"content-length", b"0"),),
     ((b"Transfer-Encoding", b"chunked"),), ((b"TRANSFER-encoding", b"Chunked"),)]
)  # fmt: skip


@st.composite
def request_heads(
    draw: st.DrawFn, method: st.SearchStrategy[bytes] = methods
) -> tuple[RequestHead, bytes]:
    """A request head, and the bytes that should be read so."""
    target = Target(
        draw(paths).encode(), None if (query := draw(queries)) is None else query.encode()
    )
    host = draw(hosts)
    minor = draw(st.sampled_from([1, 1, 0]))
    framing = draw(request_framings)
    if minor == 0:
        framing = tuple(pair for pair in framing if pair[0].lower() != b"transfer-encoding")
    fields = Fields.of(*draw(st.permutations([(b"Host", host), *framing, *draw(few)])))
    head = RequestHead(draw(method), target, minor, host.lower(), fields)
    return head, encode_request(head)


few = st.lists(pairs, max_size=4)


def encode_request(head: RequestHead) -> bytes:
    first = b"%b %b HTTP/1.%d\r\n" % (head.method, head.target.encode(), head.minor)
    return first + head.fields.encode() + b"\r\n"


@st.composite
def response_heads(draw: st.DrawFn) -> tuple[ResponseHead, bytes]:
    """A response head, and the bytes that should be read so."""
    minor = draw(st.sampled_from([1, 1, 0]))
    framing = draw(request_framings)
    if minor == 0:
        framing = tuple(pair for pair in framing if pair[0].lower() != b"transfer-encoding")
    fields = Fields.of(*draw(st.permutations([*framing, *draw(few)])))
    reason = draw(values())
    head = ResponseHead(draw(st.integers(200, 599)), reason, fields, minor)
    return head, encode_response(head)


def encode_response(head: ResponseHead) -> bytes:
    first = b"HTTP/1.%d %d %b\r\n" % (head.minor, head.status, head.reason)
    return first + head.fields.encode() + b"\r\n"


_NASTY = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x7f", b"\xff",
          b"%", b"%2e", b"/", b"..", b"?", b"#", b"@", b"+", b"-", b"0", b"0x", b"1", b"chunked",
          b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"\r\nHost: b",
          b"\r\n ", b" HTTP/1.1"]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, heads: st.SearchStrategy[bytes]) -> bytes:
    """A head with one to three things done to it; it ends with an empty line all the same."""
    data = draw(heads).removesuffix(b"\r\n\r\n")
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["insert", "delete", "replace", "repeat", "case"])):
            case "insert":
                data = data[:at] + draw(st.sampled_from(_NASTY)) + data[at:]
            case "delete":
                data = data[:at] + data[at + draw(st.integers(1, 4)) :]
            case "replace":
                data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
            case "repeat":
                lines = data.split(b"\r\n")
                line = draw(st.sampled_from(lines))
                data = b"\r\n".join([*lines, line])
            case _:
                data = data[:at] + data[at : at + 10].swapcase() + data[at + 10 :]
    # A head ends at its first empty line, and so does whoever cuts it from a stream.
    return data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def from_files(folder: str) -> st.SearchStrategy[bytes]:
    """The message files in *folder*."""
    return st.sampled_from([file.read_bytes() for file in messages(folder)])


# Mostly from good ones: of what begins bad, little is accepted and so little is compared.
changed_requests = changed(
    from_files("requests/accepted")
    | from_files("requests/accepted")
    | request_heads(any_methods).map(lambda made: made[1])
    | request_heads().map(lambda made: made[1])
    | from_files("requests/refused")
)
changed_responses = changed(
    from_files("responses/accepted")
    | response_heads().map(lambda made: made[1])
    | from_files("responses/refused")
)
