"""After 101 (Switching Protocols) both sides speak what they agreed on."""

from gateway.origin.settings import Timeouts
from gateway.origin.upload import Upload
from gateway.wire.framing import UNTIL_CLOSE
from tests.doubles.endpoint import Endpoint, Step, closes, hears, hears_a_request, says, waits_for
from tests.origin.world import Answer, Client, World, pool_before

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


async def _tunnel(world: World) -> tuple[Answer, Upload, Client]:
    client = Client()
    upload = Upload(UNTIL_CLOSE, client)
    answer = world.send(fields=b"Connection: upgrade\r\nUpgrade: echo\r\n")
    head = await answer.until_head()
    assert head.status == 101
    answer.forwarded.open_tunnel(upload)
    return answer, upload, client


async def test_bytes_flow_both_ways_as_they_are() -> None:
    script: list[Step] = [hears_a_request, says(SWITCHED), hears(4), says(b"\x00pong"), closes]
    async with Endpoint(script) as endpoint, pool_before(endpoint) as world:
        answer, upload, _ = await _tunnel(world)
        upload.feed(b"ping")
        await answer.until_over()

        assert endpoint.peers[0].heard.endswith(b"\r\n\r\nping")
        assert answer.body == b"\x00pong"
        assert answer.complete
        assert answer.framing == UNTIL_CLOSE


async def test_what_the_endpoint_says_with_its_101_is_not_lost() -> None:
    async with (
        Endpoint([hears_a_request, says(SWITCHED + b"hello"), closes]) as endpoint,
        pool_before(endpoint) as world,
    ):
        answer = world.send(fields=b"Connection: upgrade\r\nUpgrade: echo\r\n")
        await answer.until_over()

        assert answer.body == b"hello"


async def test_a_quiet_tunnel_is_not_cut_off() -> None:
    timeouts = Timeouts(first_byte=1.0, between_bytes=1.0, total=1.0)
    script: list[Step] = [hears_a_request, says(SWITCHED), waits_for("much later"), says(b"still")]
    async with Endpoint(script) as endpoint, pool_before(endpoint, timeouts=timeouts) as world:
        answer, _, _ = await _tunnel(world)
        world.pass_time(3600.0)
        endpoint.tell("much later")
        await answer.until_received(5)

        assert not answer.over


async def test_a_tunnel_to_an_endpoint_that_reads_nothing_holds_the_client_back() -> None:
    script: list[Step] = [hears_a_request, says(SWITCHED), waits_for("go on")]
    async with Endpoint(script) as endpoint, pool_before(endpoint) as world:
        _, upload, client = await _tunnel(world)
        sent = 0
        while not client.held():
            upload.feed(b"x" * 65536)
            sent += 65536
            assert sent < 64 * 2**20
        endpoint.tell("go on")
        await client.until_resumed()
        peer = endpoint.peers[0]
        await endpoint.until(lambda: len(peer.heard.partition(b"\r\n\r\n")[2]) == sent)


async def test_a_connection_that_was_a_tunnel_carries_no_other_exchange() -> None:
    script: list[Step] = [hears_a_request, says(SWITCHED)]
    ok: list[Step] = [hears_a_request, says(b"HTTP/1.1 204 No Content\r\n\r\n")]
    async with Endpoint(script, ok) as endpoint, pool_before(endpoint) as world:
        answer, _, _ = await _tunnel(world)
        answer.forwarded.abandon()
        await endpoint.ended(0)

        assert (await world.ask()).status == 204
