"""A request body on its way to an origin: in order, in full, and never much at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.origin.upload import HIGH_WATER_BYTES, Upload
from gateway.wire.framing import CHUNKED, Framing, Sized
from tests.doubles.endpoint import (
    OK,
    Endpoint,
    closes,
    hears,
    hears_a_head,
    hears_a_request,
    says,
    stops_reading,
    waits_for,
)
from tests.origin.world import Client, pool_before


class Sink:
    """Where an upload goes."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = 0

    def write_body(self, data: bytes) -> None:
        assert not self.ended
        self.heard += data

    def body_ended(self) -> None:
        self.ended += 1


def test_what_comes_before_the_connection_waits_for_it() -> None:
    sink = Sink()
    upload = Upload(Sized(6), Client())
    upload.feed(b"abc")
    upload.feed(b"def")
    upload.end()
    assert not upload.taken

    upload.attach(sink)

    assert (sink.heard, sink.ended) == (b"abcdef", 1)
    assert upload.taken


def test_a_chunked_body_goes_in_chunks_of_our_own() -> None:
    sink = Sink()
    upload = Upload(CHUNKED, Client())
    upload.attach(sink)
    upload.feed(b"abc")
    upload.feed(b"x" * 16)
    upload.end()

    assert sink.heard == b"3\r\nabc\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"


def test_an_empty_chunked_body_is_one_empty_chunk() -> None:
    sink = Sink()
    upload = Upload(CHUNKED, Client())
    upload.end()
    upload.attach(sink)

    assert (sink.heard, sink.ended) == (b"0\r\n\r\n", 1)


def test_a_client_is_held_back_when_the_buffer_is_full_and_let_go_when_it_empties() -> None:
    client, sink = Client(), Sink()
    upload = Upload(Sized(10**9), client)
    upload.feed(b"x" * (HIGH_WATER_BYTES - 1))
    assert not client.held()
    upload.feed(b"x")
    assert client.held()

    upload.attach(sink)

    assert not client.held()
    assert len(sink.heard) == HIGH_WATER_BYTES


def test_a_full_taker_gets_nothing_more_until_it_has_room() -> None:
    client, sink = Client(), Sink()
    upload = Upload(Sized(6), client)
    upload.attach(sink)
    upload.feed(b"ab")
    upload.pause()
    upload.feed(b"cd")
    upload.feed(b"ef")
    upload.end()
    assert (sink.heard, sink.ended) == (b"ab", 0)
    assert client.held()

    upload.resume()

    assert (sink.heard, sink.ended) == (b"abcdef", 1)


def test_a_client_whose_last_piece_filled_the_taker_is_let_go_when_there_is_room() -> None:
    client, sink = Client(), Sink()
    upload = Upload(Sized(2), client)
    upload.attach(sink)
    upload.feed(b"ab")
    upload.pause()
    upload.end()
    assert client.held()

    upload.resume()

    assert not client.held()
    assert sink.ended == 1


Step = st.one_of(
    st.binary(min_size=1, max_size=8), st.sampled_from(["pause", "resume", "attach", "end"])
)


@given(st.lists(Step, max_size=30), st.booleans())
def test_whatever_the_rhythm_the_body_arrives_in_order_and_in_full(
    steps: list[bytes | str], chunked: bool
) -> None:
    client, sink = Client(), Sink()
    sent = b""
    upload = Upload(CHUNKED if chunked else Sized(10**6), client)
    attached = False
    for step in steps:
        if isinstance(step, bytes):
            if not upload.ended:
                sent += step
                upload.feed(step)
        elif step == "attach":
            if not attached:
                attached = True
                upload.attach(sink)
        elif step == "end":
            if not upload.ended:
                upload.end()
        elif attached:
            getattr(upload, step)()
    if not attached:
        upload.attach(sink)
    upload.resume()
    if not upload.ended:
        upload.end()

    assert _payload(sink.heard, chunked) == sent
    assert sink.ended == 1


def _payload(heard: bytes, chunked: bool) -> bytes:
    if not chunked:
        return heard
    body = b""
    while not heard.startswith(b"0\r\n"):
        size, _, rest = heard.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        heard = rest[length + 2 :]
    return body


# Over sockets.


@pytest.mark.parametrize(
    ("framing", "field", "expected"),
    [
        pytest.param(Sized(6), b"Content-Length: 6\r\n", b"abcdef", id="sized"),
        pytest.param(
            CHUNKED,
            b"Transfer-Encoding: chunked\r\n",
            b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
            id="chunked",
        ),
    ],
)
async def test_the_endpoint_hears_the_body_and_the_connection_is_kept(
    framing: Framing, field: bytes, expected: bytes
) -> None:
    async with (
        Endpoint([hears_a_request, says(OK), hears_a_request, says(OK)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        upload = Upload(framing, Client())
        answer = world.send("POST", "/", field, upload)
        upload.feed(b"abc")
        await world.until_open(1)
        upload.feed(b"def")
        upload.end()

        assert (await answer.until_over()).body == b"ok"
        assert endpoint.peers[0].heard.partition(b"\r\n\r\n")[2] == expected
        await world.ask()


async def test_64_mb_to_an_endpoint_that_reads_nothing_hold_the_client_and_not_the_memory() -> None:
    piece, pieces = b"x" * 65536, 1024
    script = [hears_a_head, waits_for("go on"), *[hears(len(piece))] * pieces, says(OK)]
    async with Endpoint(script) as endpoint, pool_before(endpoint) as world:
        client = Client()
        upload = Upload(Sized(len(piece) * pieces), client)
        fields = b"Content-Length: %d\r\n" % (len(piece) * pieces)
        answer = world.send("POST", "/", fields, upload)
        await endpoint.until(lambda: endpoint.requests == 1)
        fed = 0
        while not client.held():
            upload.feed(piece)
            fed += 1
        # One piece may still be on its way from a client that was just told to pause.
        upload.feed(piece)
        fed += 1
        connection = answer.forwarded._connection
        assert connection is not None
        buffered = upload._waiting_bytes + connection.transport.get_write_buffer_size()
        assert buffered <= HIGH_WATER_BYTES + 2 * len(piece)
        assert fed < pieces, "the rest stays with the client"

        endpoint.tell("go on")
        while fed < pieces:
            await client.until_resumed()
            upload.feed(piece)
            fed += 1
        upload.end()
        assert (await answer.until_over()).body == b"ok"
        assert client.pauses > 1


async def test_an_early_answer_ends_the_exchange_and_its_connection() -> None:
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    async with (
        Endpoint([hears_a_head, says(early)], [hears_a_request, says(OK)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        client = Client()
        upload = Upload(Sized(100), client)
        answer = world.send("POST", "/", b"Content-Length: 100\r\n", upload)
        upload.feed(b"x" * 50)
        assert (await answer.until_over()).status == 413
        upload.feed(b"x" * 50)
        upload.end()
        await endpoint.ended(0)

        assert (await world.ask()).body == b"ok"


async def test_an_early_answer_frees_the_connection_though_the_endpoint_reads_no_more() -> None:
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    async with (
        Endpoint([hears_a_head, stops_reading, waits_for("full"), says(early)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        client = Client()
        upload = Upload(Sized(10**9), client)
        answer = world.send("POST", "/", b"Content-Length: 1000000000\r\n", upload)
        await endpoint.until(lambda: endpoint.requests == 1)
        while not client.held():
            upload.feed(b"x" * 65536)
        endpoint.tell("full")

        assert (await answer.until_over()).status == 413
        await world.until_open(0)


async def test_an_endpoint_that_leaves_inside_an_upload_fails_the_exchange() -> None:
    async with Endpoint([hears_a_head, closes]) as endpoint, pool_before(endpoint) as world:
        upload = Upload(Sized(100), Client())
        answer = world.send("POST", "/", b"Content-Length: 100\r\n", upload)

        assert (await answer.until_over()).failure is not None
        upload.feed(b"x" * 100)
        upload.end()
