"""What is sent again when a kept connection turns out dead, and what never is."""

import pytest

from gateway.errors import OriginHungUp, OriginUnreachable
from gateway.origin.upload import Upload
from gateway.wire.framing import Sized
from tests.doubles.endpoint import OK, Endpoint, Step, closes, hears_a_request, resets, says
from tests.origin.world import Client, pool_before

ANSWERS: list[Step] = [hears_a_request, says(OK)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("leaves", [closes, resets])
async def test_a_safe_request_is_sent_again_when_a_kept_connection_dies(
    method: str, leaves: Step
) -> None:
    says_nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with (
        Endpoint([*ANSWERS, hears_a_request, leaves], [hears_a_request, says(says_nothing)]) as end,
        pool_before(end) as world,
    ):
        await world.ask()
        answer = await world.ask(method, "/again")

        assert answer.status == 204
        assert [peer.heard.count(b" /again ") for peer in end.peers] == [1, 1]
        assert world.failures == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_that_may_have_been_acted_on_is_not_sent_again(method: str) -> None:
    async with (
        Endpoint([*ANSWERS, hears_a_request, closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        answer = await world.ask(method)

        assert isinstance(answer.failure, OriginHungUp)
        assert answer.failure.status == 502
        assert world.failures == {"origin-hung-up": 1}


async def test_a_request_with_a_body_is_not_sent_again() -> None:
    async with (
        Endpoint([*ANSWERS, hears_a_request, closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        upload = Upload(Sized(2), Client())
        upload.feed(b"hi")
        upload.end()
        answer = world.send("GET", "/", b"Content-Length: 2\r\n", upload)

        assert isinstance((await answer.until_over()).failure, OriginHungUp)


@pytest.mark.parametrize("leaves", [closes, resets])
async def test_a_request_on_a_new_connection_is_not_sent_again(leaves: Step) -> None:
    async with Endpoint([hears_a_request, leaves]) as endpoint, pool_before(endpoint) as world:
        answer = await world.ask()

        assert isinstance(answer.failure, OriginHungUp)
        assert str(answer.failure) == "closed the connection before a complete response head"


async def test_a_request_is_not_sent_a_third_time() -> None:
    async with (
        Endpoint([*ANSWERS, hears_a_request, closes], [hears_a_request, closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()

        assert isinstance((await world.ask()).failure, OriginHungUp)
        assert endpoint.requests == 3


async def test_a_request_is_not_sent_again_when_anything_was_heard() -> None:
    async with (
        Endpoint([*ANSWERS, hears_a_request, says(b"HTTP/1.1 2"), closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()

        assert isinstance((await world.ask()).failure, OriginHungUp)


async def test_a_request_is_not_sent_again_after_an_interim_response() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with (
        Endpoint([*ANSWERS, hears_a_request, says(hints), closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        answer = await world.ask()

        assert answer.interims == [103]
        assert isinstance(answer.failure, OriginHungUp)


async def test_a_second_attempt_trusts_no_kept_connection() -> None:
    # An endpoint that is reloaded closes all that it kept; what it accepts anew is alive.
    async with (
        Endpoint(
            [hears_a_request, says(OK), hears_a_request, closes],
            [hears_a_request, says(OK), hears_a_request, closes],
            ANSWERS,
        ) as endpoint,
        pool_before(endpoint) as world,
    ):
        one, other = world.send(), world.send()
        await one.until_over()
        await other.until_over()

        assert (await world.ask()).body == b"ok"
        assert len(endpoint.peers) == 3


async def test_a_second_attempt_may_find_the_endpoint_gone() -> None:
    async with (
        Endpoint([*ANSWERS, hears_a_request, closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        await world.ask()
        assert endpoint._server is not None
        endpoint._server.close()

        assert isinstance((await world.ask()).failure, OriginUnreachable)
