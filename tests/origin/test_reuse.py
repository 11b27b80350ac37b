"""Which connections carry another exchange, and which one is taken first."""

import pytest

from tests.doubles.endpoint import (
    OK,
    Endpoint,
    Step,
    closes,
    hears_a_request,
    resets,
    says,
    waits_for,
)
from tests.origin.world import pool_before

ANSWERS: list[Step] = [hears_a_request, says(OK)]


async def test_an_exchange_that_ended_cleanly_leaves_its_connection_to_the_next() -> None:
    async with Endpoint(ANSWERS * 3) as endpoint, pool_before(endpoint) as world:
        for path in ("/a", "/b", "/c"):
            assert (await world.ask(path=path)).body == b"ok"

        assert [line.split()[1] for line in endpoint.peers[0].heard.split(b"\r\n\r\n")[:3]] == [
            b"/a",
            b"/b",
            b"/c",
        ]
        assert world.counters.origin_connections_open == 1


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', id="304"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="empty-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            id="http-1.0-with-keep-alive",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            id="after-early-hints",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: x-closed, Keep-Alive\r\nContent-Length: 0\r\n\r\n",
            id="other-connection-options",
        ),
    ],
)
@pytest.mark.parametrize("pieces", ["whole", "byte-by-byte"])
async def test_a_response_complete_by_its_own_framing_keeps_the_connection(
    response: bytes, pieces: str
) -> None:
    said = [response] if pieces == "whole" else [response[i : i + 1] for i in range(len(response))]
    async with (
        Endpoint([hears_a_request, says(*said), *ANSWERS]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        await world.ask()

        assert endpoint.requests == 2
        assert len(endpoint.peers) == 1


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(OK + b"x", id="a-byte-too-many"),
        pytest.param(OK + OK, id="two-responses"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="close"),
        pytest.param(
            OK.replace(b"\r\n\r\n", b"\r\nConnection: x, CLOSE\r\n\r\n"), id="close-among-others"
        ),
        pytest.param(
            OK.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"),
            id="both-options",
        ),
        pytest.param(OK.replace(b"/1.1", b"/1.0"), id="http-1.0"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP",
            id="bytes-after-the-last-chunk",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nok", id="204-with-a-body"),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", id="304-with-a-body"
        ),
    ],
)
async def test_what_may_be_out_of_step_is_closed_and_the_next_opens_anew(response: bytes) -> None:
    async with (
        Endpoint([hears_a_request, says(response)], ANSWERS) as endpoint,
        pool_before(endpoint) as world,
    ):
        first = await world.ask()
        second = await world.ask()

        assert first.complete
        assert first.body in {b"ok", b""}
        assert second.body == b"ok"
        assert len(endpoint.peers) == 2
        await endpoint.ended(0)


async def test_a_body_in_the_answer_to_head_is_never_read_as_the_next_answer() -> None:
    async with (
        Endpoint([hears_a_request, says(OK)], ANSWERS) as endpoint,
        pool_before(endpoint) as world,
    ):
        first = await world.ask("HEAD")
        second = await world.ask()

        assert first.complete
        assert first.body == b""
        assert second.body == b"ok"


async def test_bytes_that_nobody_asked_for_close_a_kept_connection() -> None:
    script = [*ANSWERS, waits_for("exchange over"), says(b"HTTP/1.1 408 Request Timeout\r\n\r\n")]
    async with Endpoint(script, ANSWERS) as endpoint, pool_before(endpoint) as world:
        await world.ask()
        endpoint.tell("exchange over")
        await endpoint.ended(0)
        await world.until_open(0)

        assert (await world.ask()).status == 200
        assert len(endpoint.peers) == 2


@pytest.mark.parametrize("leaves", [closes, resets])
async def test_a_kept_connection_that_the_endpoint_closes_is_forgotten(leaves: Step) -> None:
    script = [*ANSWERS, waits_for("exchange over"), leaves]
    async with Endpoint(script, ANSWERS) as endpoint, pool_before(endpoint) as world:
        await world.ask()
        assert world.counters.origin_connections_open == 1
        endpoint.tell("exchange over")
        await world.until_open(0)

        assert (await world.ask("POST")).body == b"ok"


async def test_the_connection_used_last_is_lent_first() -> None:
    async with (
        Endpoint(
            [hears_a_request, waits_for("first"), says(OK)],
            [hears_a_request, waits_for("second"), says(OK), *ANSWERS * 2],
        ) as endpoint,
        pool_before(endpoint) as world,
    ):
        slow, slower = world.send(path="/a"), world.send(path="/b")
        await endpoint.until(lambda: endpoint.requests == 2)
        endpoint.tell("first")
        endpoint.tell("second")
        await slow.until_over()
        await slower.until_over()
        last = world.pool._idle[-1]
        assert len(world.pool._idle) == 2

        await world.ask(path="/c")
        await world.ask(path="/d")

        assert last.exchanges == 3
        assert world.pool._idle[0].exchanges == 1


async def test_a_connection_paused_at_the_last_piece_of_its_body_is_read_again() -> None:
    script = [hears_a_request, says(OK[:-1]), waits_for("pausing"), says(OK[-1:]), *ANSWERS]
    async with Endpoint(script) as endpoint, pool_before(endpoint) as world:
        first = world.send()
        await first.until_received(1)
        first.pause_on_piece = True
        endpoint.tell("pausing")
        await first.until_over()

        assert (await world.ask()).body == b"ok"
        assert len(endpoint.peers) == 1


async def test_connections_unused_for_half_a_minute_are_closed() -> None:
    async with Endpoint(ANSWERS) as endpoint, pool_before(endpoint) as world:
        await world.ask()
        world.pass_time(29.0)
        world.pool.sweep()
        assert world.counters.origin_connections_open == 1

        world.pass_time(2.0)
        world.pool.sweep()
        await endpoint.ended(0)
        await world.until_open(0)


async def test_a_connection_that_grew_too_old_unswept_is_not_lent() -> None:
    async with Endpoint(ANSWERS, ANSWERS) as endpoint, pool_before(endpoint) as world:
        await world.ask()
        world.pass_time(31.0)

        assert (await world.ask()).body == b"ok"
        await endpoint.ended(0)


async def test_a_post_goes_over_a_connection_used_just_now_or_over_a_new_one() -> None:
    async with (
        Endpoint(ANSWERS * 2, ANSWERS) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        world.pass_time(0.9)
        await world.ask("POST")
        assert len(endpoint.peers) == 1

        world.pass_time(1.1)
        await world.ask("POST")
        assert len(endpoint.peers) == 2
        assert world.counters.origin_connections_open == 2


async def test_a_post_in_a_pool_full_of_old_connections_exchanges_one_for_a_new_one() -> None:
    async with (
        Endpoint(ANSWERS, ANSWERS) as endpoint,
        pool_before(endpoint, max_connections=1) as world,
    ):
        await world.ask()
        world.pass_time(5.0)

        assert (await world.ask("POST")).body == b"ok"
        await endpoint.ended(0)
        assert world.counters.origin_connections_open == 1


async def test_the_host_sent_is_the_one_set_or_the_clients_or_the_endpoints() -> None:
    async with Endpoint() as endpoint:
        async with pool_before(endpoint) as world:
            assert world.pool.authority(b"shop.test") == b"shop.test"
            assert world.pool.authority(b"") == b"127.0.0.1:%d" % endpoint.port
        async with pool_before(endpoint, host="inside.test") as world:
            assert world.pool.authority(b"shop.test") == b"inside.test"
