"""How long each phase of an exchange may take, and what its client is told."""

from gateway.errors import OriginTooSlow, ResponseTruncated
from gateway.origin.settings import Timeouts
from gateway.origin.upload import Upload
from gateway.wire.framing import Sized
from tests.doubles.endpoint import (
    OK,
    Endpoint,
    hears_a_head,
    hears_a_request,
    says,
    waits_for,
)
from tests.origin.world import Client, pool_before

BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


async def test_a_silent_endpoint_is_given_up_after_first_byte() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(first_byte=3.0)) as world,
    ):
        answer = world.send()
        await endpoint.until(lambda: endpoint.requests == 1)
        world.pass_time(2.9)
        assert not answer.over
        world.pass_time(0.3)

        assert isinstance(answer.failure, OriginTooSlow)
        assert answer.failure.status == 504
        assert str(answer.failure) == "sent no response head within 3.2 s"
        assert world.failures == {"origin-too-slow": 1}
        await world.until_open(0)


async def test_half_a_head_is_no_first_byte() -> None:
    async with (
        Endpoint([hears_a_request, says(b"HTTP/1.1 200 OK\r\nX: "), waits_for("never")]) as end,
        pool_before(end, timeouts=Timeouts(first_byte=3.0)) as world,
    ):
        answer = world.send()
        await end.until(lambda: end.requests == 1)
        world.pass_time(3.2)

        assert isinstance(answer.failure, OriginTooSlow)


async def test_interim_responses_buy_no_time() -> None:
    async with (
        Endpoint([hears_a_request, says(b"HTTP/1.1 102 Processing\r\n\r\n")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(first_byte=3.0)) as world,
    ):
        answer = world.send()
        await answer.until_interims(1)
        world.pass_time(3.2)

        assert isinstance(answer.failure, OriginTooSlow)


async def test_total_bounds_the_wait_for_the_head_when_it_is_the_shorter() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(first_byte=10.0, total=3.0)) as world,
    ):
        answer = world.send()
        await endpoint.until(lambda: endpoint.requests == 1)
        world.pass_time(3.2)

        assert isinstance(answer.failure, OriginTooSlow)


async def test_total_goes_on_from_the_first_attempt_to_the_second() -> None:
    async with (
        Endpoint(
            [hears_a_request, says(OK), hears_a_request, waits_for("late"), says(b"")],
            [hears_a_request, waits_for("never")],
        ) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(first_byte=3.0, total=4.0)) as world,
    ):
        await world.ask()
        answer = world.send()
        await endpoint.until(lambda: endpoint.requests == 2)
        world.pass_time(2.0)
        endpoint.peers[0].writer.transport.abort()
        await endpoint.until(lambda: endpoint.requests == 3)
        assert not answer.over
        world.pass_time(2.2)

        assert isinstance(answer.failure, OriginTooSlow)


async def test_a_body_that_stops_is_cut_off_after_between_bytes() -> None:
    async with (
        Endpoint([hears_a_request, says(BIG + b"12345"), waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(between_bytes=20.0)) as world,
    ):
        answer = world.send()
        await answer.until_received(5)
        world.pass_time(19.5)
        assert not answer.over
        world.pass_time(0.7)

        assert isinstance(answer.failure, ResponseTruncated)
        assert str(answer.failure) == "paused for 20 s in the body"
        assert world.failures == {"truncated": 1}
        await world.until_open(0)


async def test_a_pause_shorter_than_the_wait_for_the_head_is_noticed_in_time() -> None:
    async with (
        Endpoint([hears_a_request, says(BIG), waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(first_byte=10.0, between_bytes=1.0)) as world,
    ):
        answer = world.send()
        await answer.until_head()
        world.pass_time(1.2)

        assert isinstance(answer.failure, ResponseTruncated)


async def test_a_body_that_keeps_flowing_may_take_longer_than_total() -> None:
    script = [hears_a_request, says(BIG)]
    for number in range(5):
        script += [waits_for(f"piece {number}"), says(b"x" * 20)]
    async with (
        Endpoint(script) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(between_bytes=20.0, total=30.0)) as world,
    ):
        answer = world.send()
        await answer.until_head()
        for number in range(4):
            world.pass_time(15.0)
            endpoint.tell(f"piece {number}")
            await answer.until_received(20 * (number + 1))
        world.pass_time(15.0)
        endpoint.tell("piece 4")

        assert (await answer.until_over()).complete


async def test_a_pause_that_the_taker_asked_for_is_not_held_against_the_endpoint() -> None:
    async with (
        Endpoint([hears_a_request, says(BIG), waits_for("resumed"), says(b"x" * 100)]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(between_bytes=20.0)) as world,
    ):
        answer = world.send()
        await answer.until_head()
        answer.forwarded.pause()
        world.pass_time(500.0)
        assert not answer.over

        answer.forwarded.resume()
        world.pass_time(19.0)
        assert not answer.over
        endpoint.tell("resumed")
        assert (await answer.until_over()).body == b"x" * 100


async def test_an_endpoint_that_stops_after_a_resume_is_cut_off_all_the_same() -> None:
    async with (
        Endpoint([hears_a_request, says(BIG), waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(between_bytes=20.0)) as world,
    ):
        answer = world.send()
        await answer.until_head()
        answer.forwarded.pause()
        world.pass_time(500.0)
        answer.forwarded.resume()
        world.pass_time(20.2)

        assert isinstance(answer.failure, ResponseTruncated)


async def test_an_endpoint_that_takes_nothing_of_a_body_is_given_up() -> None:
    async with (
        Endpoint([hears_a_head, waits_for("never")]) as endpoint,
        pool_before(endpoint, timeouts=Timeouts(between_bytes=5.0)) as world,
    ):
        upload = Upload(Sized(100), Client())
        answer = world.send("POST", "/", b"Content-Length: 100\r\n", upload)
        await endpoint.until(lambda: endpoint.requests == 1)
        world.pass_time(4.0)
        upload.feed(b"x" * 50)
        world.pass_time(4.0)
        assert not answer.over
        world.pass_time(1.3)

        assert isinstance(answer.failure, OriginTooSlow)
        assert "body" in str(answer.failure)


async def test_a_large_upload_may_take_longer_than_total_and_then_waits_for_its_head() -> None:
    async with (
        Endpoint([hears_a_request, waits_for("never")]) as endpoint,
        pool_before(
            endpoint, timeouts=Timeouts(first_byte=10.0, between_bytes=20.0, total=30.0)
        ) as world,
    ):
        upload = Upload(Sized(100), Client())
        answer = world.send("POST", "/", b"Content-Length: 100\r\n", upload)
        await world.until_open(1)
        for _ in range(5):
            world.pass_time(15.0)
            upload.feed(b"x" * 20)
        upload.end()
        await endpoint.until(lambda: endpoint.requests == 1)
        world.pass_time(9.8)
        assert not answer.over
        world.pass_time(0.4)

        assert isinstance(answer.failure, OriginTooSlow)


async def test_what_ended_is_watched_no_longer() -> None:
    async with Endpoint([hears_a_request, says(OK)]) as endpoint, pool_before(endpoint) as world:
        answer = await world.ask()
        world.pass_time(1000.0)

        assert answer.complete
        assert answer.failure is None
        assert world.failures == {}
