"""How many connections there are, who waits for one, and who is told that there is none."""

import asyncio
import socket

import pytest

from gateway.errors import OriginBusy, OriginConnectTimeout, OriginUnreachable
from gateway.origin.settings import Endpoint as Address
from gateway.origin.settings import Timeouts
from tests.doubles.endpoint import OK, Endpoint, closes, hears_a_request, says, waits_for
from tests.origin.world import pool_before


async def test_no_more_connections_are_opened_than_agreed_and_the_rest_wait_in_turn() -> None:
    script = [
        hears_a_request,
        waits_for("all sent"),
        *(step for _ in range(4) for step in (says(OK), hears_a_request)),
        says(OK),
    ]
    async with (
        Endpoint(script) as endpoint,
        pool_before(endpoint, max_connections=1) as world,
    ):
        answers = [world.send("POST", f"/{number}") for number in range(5)]
        endpoint.tell("all sent")
        for answer in answers:
            assert (await answer.until_over()).body == b"ok"

        heads = endpoint.peers[0].heard.split(b"\r\n\r\n")[:-1]
        assert [head.split()[1] for head in heads] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_a_full_queue_refuses_at_once() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("never")]) as endpoint,
        pool_before(endpoint, max_connections=1, max_waiting=2) as world,
    ):
        for _ in range(3):
            world.send()
        refused = world.send()

        assert isinstance(refused.failure, OriginBusy)
        assert refused.failure.status == 503
        assert "queue is full" in str(refused.failure)
        assert world.failures == {"origin-busy": 1}
        assert not any(answer.over for answer in world.answers[:3])


async def test_who_waits_too_long_for_a_connection_is_told_that_the_origin_is_busy() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("go on"), says(OK), hears_a_request]) as endpoint,
        pool_before(endpoint, max_connections=1, timeouts=Timeouts(connect=2.0)) as world,
    ):
        running, waiting = world.send(), world.send()
        await endpoint.until(lambda: endpoint.requests == 1)
        world.pass_time(2.2)

        assert isinstance(waiting.failure, OriginBusy)
        assert not running.over
        endpoint.tell("go on")
        await running.until_over()
        assert endpoint.requests == 1, "who gave up waiting is not served later"


async def test_those_who_gave_up_waiting_take_no_place_in_the_queue() -> None:
    async with (
        Endpoint(
            [hears_a_request, waits_for("go on"), says(OK), hears_a_request, says(OK)]
        ) as endpoint,
        pool_before(endpoint, max_connections=1, max_waiting=2) as world,
    ):
        running, gone, late = world.send(), world.send(), world.send()
        await endpoint.until(lambda: endpoint.requests == 1)
        gone.forwarded.abandon()
        world.pass_time(2.2)
        assert isinstance(late.failure, OriginBusy)

        patient = world.send()
        assert not patient.over
        endpoint.tell("go on")
        await running.until_over()
        assert (await patient.until_over()).body == b"ok"


async def test_a_connection_that_is_lost_makes_room_for_who_waits() -> None:
    async with (
        Endpoint(
            [hears_a_request, waits_for("both sent"), closes], [hears_a_request, says(OK)]
        ) as endpoint,
        pool_before(endpoint, max_connections=1) as world,
    ):
        unlucky, waiting = world.send("POST"), world.send("POST")
        endpoint.tell("both sent")

        assert (await unlucky.until_over()).failure is not None
        assert (await waiting.until_over()).body == b"ok"


async def test_a_request_abandoned_while_connecting_leaves_its_connection_to_another() -> None:
    async with (
        Endpoint([hears_a_request, says(OK)]) as endpoint,
        pool_before(endpoint, max_connections=1) as world,
    ):
        gone, waiting = world.send(path="/gone"), world.send(path="/waiting")
        gone.forwarded.abandon()

        assert (await waiting.until_over()).body == b"ok"
        assert endpoint.peers[0].heard.startswith(b"GET /waiting ")
        assert not gone.over


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def test_a_refused_connection_is_told_in_plain_words() -> None:
    async with pool_before(Address("127.0.0.1", _closed_port())) as world:
        answer = await world.ask()

        assert isinstance(answer.failure, OriginUnreachable)
        assert str(answer.failure) == "refused the connection"
        assert answer.failure.status == 502
        assert isinstance(answer.failure.__cause__, ConnectionRefusedError)
        assert world.failures == {"origin-unreachable": 1}


async def test_everybody_in_the_queue_is_told_when_the_endpoint_refuses() -> None:
    async with pool_before(Address("127.0.0.1", _closed_port()), max_connections=1) as world:
        answers = [world.send() for _ in range(5)]

        for answer in answers:
            assert isinstance((await answer.until_over()).failure, OriginUnreachable)
        assert world.counters.origin_connections_open == 0


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("no-such-host.invalid", id="unknown"),
        pytest.param("a" * 64 + ".invalid", id="label-too-long"),
    ],
)
async def test_a_name_without_an_address_is_unreachable(host: str) -> None:
    async with pool_before(Address(host, 80)) as world:
        answer = await world.ask()

        assert isinstance(answer.failure, OriginUnreachable)
        assert str(answer.failure)
        assert "[errno" not in str(answer.failure)
        assert world.counters.origin_connections_open == 0


async def test_a_connection_that_does_not_open_in_time_is_given_up() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        # Fill the backlog: the kernel then answers no more attempts.
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            timeouts = Timeouts(connect=0.05)
            async with pool_before(Address(*address), timeouts=timeouts) as world:
                answer = world.send()
                # It is connecting by then, and has its limit.
                await asyncio.sleep(0)
                world.pass_time(0.2)
                await answer.until_over()

                assert isinstance(answer.failure, OriginConnectTimeout)
                assert str(answer.failure) == "no connection within 0.05 s"
                assert answer.failure.status == 504
                assert world.counters.origin_connections_open == 0
        finally:
            for filler in fillers:
                filler.close()


def test_an_endpoint_is_written_as_people_write_it() -> None:
    assert str(Address("hub.test", 80)) == "hub.test:80"
    assert str(Address("::1", 8080)) == "[::1]:8080"
