"""Where a response ends, what goes before it, and what is no response."""

import pytest

from gateway.errors import ExchangeFailed, OriginSpokeNonsense, ResponseTruncated
from gateway.origin.connection import MAX_HEAD_BYTES, MAX_INTERIM
from gateway.wire.fields import Fields
from gateway.wire.framing import CHUNKED, EMPTY, UNTIL_CLOSE, Sized
from tests.doubles.endpoint import (
    OK,
    Endpoint,
    Step,
    closes,
    hears_a_request,
    resets,
    says,
    says_no_more,
    waits_for,
)
from tests.origin.world import Answer, pool_before, until

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _answer(*steps: Step, method: str = "GET") -> Answer:
    async with Endpoint([hears_a_request, *steps]) as endpoint, pool_before(endpoint) as world:
        return await world.ask(method)


async def test_a_small_response_comes_in_one_step() -> None:
    answer = await _answer(says(OK))

    assert answer.whole
    assert answer.head is not None
    assert (answer.status, answer.head.reason, answer.body) == (200, b"OK", b"ok")
    assert answer.framing == Sized(2)


async def test_a_response_in_single_bytes_is_the_same_response() -> None:
    answer = await _answer(says(*(OK[i : i + 1] for i in range(len(OK)))))

    assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)


async def test_chunks_come_without_their_framing_and_trailers_apart() -> None:
    answer = await _answer(
        says(CHUNKED_HEAD, b"3;x=1\r\nabc\r\n", b"2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
    )

    assert answer.body == b"abcde"
    assert answer.framing == CHUNKED
    assert answer.trailers == Fields.of((b"X-Sum", b"5"))


@pytest.mark.parametrize(
    ("method", "head"),
    [
        pytest.param("HEAD", OK[:-2], id="head"),
        pytest.param("HEAD", CHUNKED_HEAD, id="head-chunked"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", id="head-until-close"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(
            "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", id="304-with-length"
        ),
    ],
)
async def test_some_responses_have_no_body_whatever_their_fields_say(
    method: str, head: bytes
) -> None:
    answer = await _answer(says(head), method=method)

    assert answer.complete
    assert answer.body == b""
    assert answer.framing == EMPTY


@pytest.mark.parametrize("ends", [closes, says_no_more])
async def test_without_framing_the_body_ends_when_the_endpoint_closes(ends: Step) -> None:
    answer = await _answer(says(b"HTTP/1.1 200 OK\r\n\r\n", b"some ", b"more"), ends)

    assert answer.complete
    assert answer.body == b"some more"
    assert answer.framing == UNTIL_CLOSE


async def test_a_body_until_close_that_ends_with_a_reset_is_not_complete() -> None:
    part = b"HTTP/1.1 200 OK\r\n\r\nsome"
    async with (
        Endpoint([hears_a_request, says(part), waits_for("read"), resets]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send()
        await answer.until_received(4)
        endpoint.tell("read")
        await answer.until_over()

        assert isinstance(answer.failure, ResponseTruncated)


@pytest.mark.parametrize("ends", [closes, resets, says_no_more])
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", id="sized"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", id="nothing-of-it"),
        pytest.param(CHUNKED_HEAD + b"5\r\nabc", id="inside-a-chunk"),
        pytest.param(CHUNKED_HEAD + b"3\r\nabc\r\n", id="without-the-last-chunk"),
        pytest.param(CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n", id="inside-the-trailer"),
    ],
)
async def test_a_body_shorter_than_its_framing_is_truncated(part: bytes, ends: Step) -> None:
    async with (
        Endpoint([hears_a_request, says(part), waits_for("head"), ends]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send()
        await answer.until_head()
        endpoint.tell("head")
        await answer.until_over()

        assert isinstance(answer.failure, ResponseTruncated)
        assert not answer.complete
        assert world.failures == {"truncated": 1}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"xyz\r\n", id="no-number"),
        pytest.param(b"3\r\nabcX\r\n", id="longer-than-said"),
        pytest.param(b"3\nabc\r\n", id="bare-lf"),
        pytest.param(b"-3\r\nabc\r\n", id="negative"),
        pytest.param(b"ffffffffffffffffff\r\n", id="overflow"),
        pytest.param(b"0\r\nno colon\r\n\r\n", id="broken-trailer"),
    ],
)
async def test_chunks_that_break_their_framing_end_the_body_at_once(broken: bytes) -> None:
    begins = says(CHUNKED_HEAD + b"2\r\nok\r\n")
    async with (
        Endpoint([hears_a_request, begins, waits_for("begun"), says(broken)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send()
        await answer.until_received(2)
        endpoint.tell("begun")
        await answer.until_over()

        assert isinstance(answer.failure, ResponseTruncated)
        assert "broke its chunked framing" in str(answer.failure)
        await endpoint.ended(0)


async def test_interim_responses_go_before_the_final_one() -> None:
    answer = await _answer(
        says(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
        )
    )

    assert answer.interims == [100, 103, 103]
    assert answer.body == b"ok"


async def test_as_many_interim_responses_as_are_allowed_pass() -> None:
    answer = await _answer(says(b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INTERIM + OK))

    assert len(answer.interims) == MAX_INTERIM
    assert answer.complete


async def test_a_flood_of_interim_responses_is_nonsense() -> None:
    flood = b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_INTERIM + 1)
    answer = await _answer(says(flood + OK), waits_for("never"))

    assert isinstance(answer.failure, OriginSpokeNonsense)
    assert str(answer.failure) == f"more than {MAX_INTERIM} interim responses"
    assert len(answer.interims) == MAX_INTERIM


@pytest.mark.parametrize("pieces", ["whole", "in-two"])
async def test_a_response_head_without_end_is_nonsense(pieces: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"
    said = [head] if pieces == "whole" else [head[:-2], head[-2:]]
    answer = await _answer(says(*said), waits_for("never"))

    assert isinstance(answer.failure, OriginSpokeNonsense)
    assert str(answer.failure) == f"the response head is larger than {MAX_HEAD_BYTES} bytes"


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another-protocol"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another-version"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="two-digit-status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX y\r\n\r\n", id="no-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", id="folded"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", id="negative-length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            id="two-lengths",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length-and-chunked",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n\x1f\x8b", id="unknown-coding"
        ),
    ],
)
async def test_what_is_no_response_is_nonsense_and_closes_the_connection(response: bytes) -> None:
    async with (
        Endpoint([hears_a_request, says(response)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = await world.ask()

        assert isinstance(answer.failure, OriginSpokeNonsense)
        assert answer.failure.status == 502
        assert world.failures == {"origin-malformed": 1}
        await endpoint.ended(0)


async def test_every_failure_before_the_body_has_a_status_to_answer_with() -> None:
    for failure in ExchangeFailed.__subclasses__():
        assert failure.status in {502, 503, 504}
        assert failure.reason != ExchangeFailed.reason


async def test_the_time_until_the_head_is_counted() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("late"), says(OK)]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send()
        await endpoint.until(lambda: endpoint.requests == 1)
        world.now += 0.75
        endpoint.tell("late")
        await answer.until_over()

        assert world.counters.origin_latency["hub"].total == pytest.approx(0.75)


async def test_a_response_that_is_no_longer_wanted_closes_its_connection() -> None:
    async with (
        Endpoint(
            [hears_a_request, says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")]
        ) as end,
        pool_before(end) as world,
    ):
        answer = world.send()
        await answer.until_received(3)
        answer.forwarded.abandon()
        await end.ended(0)
        await world.until_open(0)

        assert not answer.over
        assert world.failures == {}


async def test_a_paused_download_stops_the_endpoint_and_goes_on_when_resumed() -> None:
    size = 16 * 2**20
    body = says(*([b"x" * 65536] * (size // 65536)))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    async with (
        Endpoint([hears_a_request, says(head), waits_for("paused"), body]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send()
        await answer.until_head()
        answer.forwarded.pause()
        endpoint.tell("paused")
        # The endpoint writes until the kernel's buffers are full, and no byte comes through.
        await until(lambda: endpoint.peers[0].unsent_bytes > 0)
        assert answer.body == b""

        answer.forwarded.resume()
        assert len((await answer.until_over()).body) == size
