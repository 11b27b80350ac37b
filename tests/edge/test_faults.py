"""What an origin can do wrong, each with the outcome that clients see.

For each fault: what a client gets who has nothing but the origin; that nothing of it is
stored; that the connection is used for nobody else; and what a client gets where something
stale is at hand. An answer that isn't complete never looks complete.
"""

# ruff: noqa: SIM117 - the origin stands around the gateway

import asyncio
import socket
from dataclasses import dataclass

import pytest

from tests.doubles.client import RawClient
from tests.doubles.origin import Act, Answer, Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import World, gateway_before

RULES = """
version: 1
origins:
  hub:
    servers: ["http://127.0.0.1:1"]
    timeouts: {connect: 500ms, first_byte: 400ms, between_bytes: 400ms, total: 1s}
routes:
  - match: {path: /*}
    cache: {scope: public, stale_if_error: 1h}
"""
HEAD = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
CUT_OFF = "cut off"


def says(data: bytes, *, then: str = "closes") -> Act:
    """Return what sends *data* and then ``closes``, ``resets`` or ``hangs``."""

    async def act(heard: Heard, wire: Wire) -> None:
        await wire.send(data)
        match then:
            case "closes":
                wire.writer.close()
            case "resets":
                wire.reset()
            case _:
                await wire.gone()

    return act


def drips(data: bytes, *, pause: float, start: int = 0) -> Act:
    """Return what sends *data* byte by byte after its first *start* bytes."""

    async def act(heard: Heard, wire: Wire) -> None:
        await wire.send(data[:start])
        for octet in data[start:]:
            await wire.send(bytes([octet]))
            await asyncio.sleep(pause)

    return act


@dataclass(frozen=True)
class Fault:
    """Something that an origin does, and what comes of it."""

    act: Answer
    outcome: str
    """The status and the body, or the status and that it was cut off."""
    told: str = ""
    """What the error says."""
    reusable: bool = False
    """Whether the connection is as good as before."""
    covered: bool = True
    """Whether something stale takes its place."""


_WHOLE = HEAD + b"Content-Length: 4\r\n\r\ngood"
_CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_SIZED = HEAD + b"Content-Length: 100\r\n\r\n"
FAULTS = {
    "reset before the head": Fault(says(b"", then="resets"), "502", "closed the connection"),
    "closed before the head": Fault(says(b""), "502", "closed the connection"),
    "closed inside the head": Fault(says(HEAD), "502", "closed the connection"),
    "reset inside the head": Fault(says(HEAD, then="resets"), "502", "closed the connection"),
    "reset after the head": Fault(says(_SIZED, then="resets"), "200 cut off", covered=False),
    "closed after the head": Fault(says(_SIZED), "200 cut off", covered=False),
    "reset inside the body": Fault(
        says(_SIZED + b"half", then="resets"), "200 cut off", covered=False
    ),
    "a body shorter than its length": Fault(says(_SIZED + b"half"), "200 cut off", covered=False),
    "a shorter body on a connection that stays": Fault(
        says(_SIZED + b"half", then="hangs"), "200 cut off", covered=False
    ),
    "a body longer than its length": Fault(
        says(_WHOLE + b"and more", then="hangs"), "200 good", covered=False
    ),
    "a second answer that nobody asked for": Fault(
        says(_WHOLE + _WHOLE.replace(b"good", b"evil"), then="hangs"), "200 good", covered=False
    ),
    "chunks without their end": Fault(
        says(_CHUNKED + b"4\r\nhalf\r\n"), "200 cut off", covered=False
    ),
    "a chunk that is cut short": Fault(
        says(_CHUNKED + b"64\r\nhalf"), "200 cut off", covered=False
    ),
    "a chunk size that is no number": Fault(
        says(_CHUNKED + b"4\r\nhalf\r\nzz\r\nx\r\n0\r\n\r\n", then="hangs"),
        "200 cut off",
        covered=False,
    ),
    "a chunk longer than its size": Fault(
        says(_CHUNKED + b"2\r\nhalf\r\n0\r\n\r\n", then="hangs"), "200 cut off", covered=False
    ),
    "a chunk size beyond all bounds": Fault(
        says(_CHUNKED + b"f" * 17 + b"\r\nx", then="hangs"), "200 cut off", covered=False
    ),
    "silence before the head": Fault(says(b"", then="hangs"), "504", "no response head within"),
    "silence inside the head": Fault(says(HEAD, then="hangs"), "504", "no response head within"),
    "silence after the head": Fault(says(_SIZED, then="hangs"), "200 cut off", covered=False),
    "silence inside a chunk": Fault(
        says(_CHUNKED + b"64\r\nhalf", then="hangs"), "200 cut off", covered=False
    ),
    "a head in drops": Fault(drips(_WHOLE, pause=0.05), "504", "no response head within"),
    "a body in drops": Fault(
        drips(_WHOLE, pause=0.1, start=len(_WHOLE) - 4), "200 good", reusable=True, covered=False
    ),
    "a head without end": Fault(
        says(HEAD + b"X: " + b"x" * 400_000, then="hangs"), "502", "head is larger than"
    ),
    "a head with thousands of fields": Fault(
        says(HEAD + b"X: 1\r\n" * 40_000 + b"\r\n", then="hangs"), "502", "head is larger than"
    ),
    "a flood of interim answers": Fault(
        says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000, then="hangs"), "502", "interim"
    ),
    "switching protocols unasked": Fault(
        says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", then="hangs"), "502", ""
    ),
    "two lengths": Fault(
        says(HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ngood", then="hangs"),
        "502",
        "two that differ",
    ),
    "a length and chunks": Fault(
        says(HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", then="hangs"),
        "502",
        "exclude one another",
    ),
    "a length that is no number": Fault(
        says(HEAD + b"Content-Length: +4\r\n\r\ngood", then="hangs"), "502", "no plain number"
    ),
    "chunks in HTTP/1.0": Fault(
        says(_CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", then="hangs"), "502", "HTTP/1.0"
    ),
    "gzip as transfer coding": Fault(
        says(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", then="hangs"), "502", "coding"
    ),
    "space before a colon": Fault(
        says(HEAD + b"Content-Length : 4\r\n\r\ngood", then="hangs"), "502", "colon"
    ),
    "a folded line": Fault(says(HEAD + b"X: 1\r\n folded\r\n\r\n", then="hangs"), "502", "folded"),
    "a bare LF": Fault(
        says(b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood\r\n\r\n", then="hangs"),
        "502",
        "no status line",
    ),
    "NUL in a value": Fault(
        says(HEAD + b"X: \0\r\n\r\n", then="hangs"), "502", "control character"
    ),
    "another protocol": Fault(
        says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", then="hangs"), "502", "no status line"
    ),
    "HTTP/2": Fault(says(b"HTTP/2 200 OK\r\n\r\n", then="hangs"), "502", "no status line"),
    "garbage": Fault(says(bytes(range(256)) + b"\r\n\r\n", then="hangs"), "502", ""),
    "an error of its own": Fault(
        response("503 Service Unavailable", b"busy"), "503 busy", reusable=True
    ),
}


async def received(client: RawClient) -> str:
    """Return what a client makes of the answer that comes."""
    reply = await client.head()
    while reply.status < 200:
        reply = await client.head()
    try:
        await client._read_body(reply, "GET")
    except (ConnectionError, asyncio.IncompleteReadError):
        return f"{reply.status} {CUT_OFF}"
    if reply.status >= 500 and reply.get("cache-control") == "no-store":
        return f"{reply.status}: {reply.body.decode()}"
    return f"{reply.status} {reply.body.decode()}"


async def asks(world: World, target: str = "/a") -> str:
    client = await world.connect()
    await client.ask(target)
    return await received(client)


@pytest.fixture(params=list(FAULTS.values()), ids=list(FAULTS))
def fault(request: pytest.FixtureRequest) -> Fault:
    found: Fault = request.param
    return found


def assert_outcome(seen: str, fault: Fault) -> None:
    if fault.told or fault.outcome in {"502", "504"}:
        assert seen.startswith(f"{fault.outcome}: {fault.outcome} ")
        assert fault.told in seen
    else:
        assert seen == fault.outcome


async def test_a_client_without_anything_stored_sees_what_happened(fault: Fault) -> None:
    origin = ScriptedOrigin({"/a": [fault.act, ok(b"fine", max_age=0)]})
    async with origin, gateway_before(origin, RULES) as world:
        first = await asks(world)
        stored = world.gateway.site.memory.objects
        heard = len(origin.heard)
        second = await asks(world)

    assert_outcome(first, fault)
    complete = fault.outcome == "200 good"
    assert stored == (1 if complete else 0), "stored, though it wasn't complete"
    assert second == ("200 good" if complete else "200 fine")
    assert heard == 1, "asked again, though something had been answered"
    if not complete and not fault.reusable:
        assert origin.heard[1].connection != origin.heard[0].connection


async def test_a_client_gets_something_stale_where_that_is_at_hand(fault: Fault) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"stale", max_age=1), fault.act]})
    async with origin, gateway_before(origin, RULES) as world:
        await asks(world)
        world.pass_time(5)
        seen = await asks(world)
        objects = world.gateway.site.memory.objects

    if fault.covered:
        assert seen == "200 stale"
    else:
        assert_outcome(seen, fault)
    assert objects == 1


async def test_clients_that_wait_together_share_the_outcome(fault: Fault) -> None:
    go = asyncio.Event()

    async def act(heard: Heard, wire: Wire) -> None:
        await go.wait()
        if isinstance(fault.act, bytes):
            await wire.send(fault.act)
        else:
            await fault.act(heard, wire)

    origin = ScriptedOrigin({"/a": [act]})
    async with origin, gateway_before(origin, RULES) as world:
        clients = [await world.connect() for _ in range(3)]
        for client in clients:
            await client.ask("/a")
        await origin.until_heard(1)
        go.set()
        seen = await asyncio.gather(*(received(client) for client in clients))

    # What may not be shared is asked for by each: with the same outcome, then.
    for each in seen:
        assert_outcome(each, fault)


async def test_a_refused_connection_is_502_or_something_stale() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"stale", max_age=1)]})
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with gateway_before(nowhere, RULES) as world:
        assert (await asks(world)).startswith("502: 502 Bad Gateway: the origin")
    async with gateway_before(await _started(origin), RULES) as world:
        await asks(world)
        await origin.stop()
        world.pass_time(5)

        assert await asks(world) == "200 stale"


async def _started(origin: ScriptedOrigin) -> ScriptedOrigin:
    await origin.start()
    return origin


async def test_what_follows_an_answer_on_its_connection_answers_nobody() -> None:
    evil = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil"
    good = ok(b"good", cache_control="no-store")
    origin = ScriptedOrigin({"/a": [says(good + evil, then="hangs")], "/b": [ok(b"mine")]})
    async with origin, gateway_before(origin, RULES) as world:
        first = await asks(world)
        second = await asks(world, "/b")

    assert (first, second) == ("200 good", "200 mine")


@pytest.mark.parametrize(
    "ends", [b"", _CHUNKED + b"4\r\nhalf\r\n"], ids=["nothing", "chunks without their end"]
)
async def test_a_client_of_http_1_0_can_tell_that_an_answer_was_cut_off(ends: bytes) -> None:
    """Its body ends with the connection, so that an orderly end would look like success."""
    answer = ends or HEAD + b"Content-Length: 100\r\n\r\nhalf"
    async with ScriptedOrigin({"/a": [says(answer)]}) as origin:
        async with gateway_before(origin, RULES) as world:
            client = await world.connect()
            await client.send(b"GET /a HTTP/1.0\r\nHost: hub.test\r\n\r\n")
            reply = await client.head()
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await client._read_body(reply, "GET")


async def test_a_body_of_http_1_0_ends_with_its_connection() -> None:
    whole = b"HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nall of it"
    async with ScriptedOrigin({"/a": [says(whole)]}) as origin:
        async with gateway_before(origin, RULES) as world:
            assert [await asks(world), await asks(world)] == ["200 all of it"] * 2

    assert len(origin.heard) == 1


async def test_a_body_of_http_1_0_that_ends_with_a_reset_is_cut_off_and_not_stored() -> None:
    part = b"HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\npart of it"

    async def resets(heard: Heard, wire: Wire) -> None:
        await wire.send(part)
        await asyncio.sleep(0.05)
        connection = wire.writer.get_extra_info("socket")
        linger = (1).to_bytes(4, "little") + bytes(4)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        wire.reset()

    async with ScriptedOrigin({"/a": [resets, ok(b"fine")]}) as origin:
        async with gateway_before(origin, RULES) as world:
            assert await asks(world) == "200 cut off"
            assert await asks(world) == "200 fine"


async def test_an_answer_before_the_end_of_an_upload_reaches_the_client() -> None:
    async def hasty(heard: Heard, wire: Wire) -> None:
        await wire.send(response("413 Content Too Large", b"no", connection="close"))
        wire.writer.close()

    async with ScriptedOrigin({"/a": [hasty]}) as origin:
        async with gateway_before(origin, RULES) as world:
            client = await world.connect()
            await client.send(
                b"POST /a HTTP/1.1\r\nHost: hub.test\r\nExpect: 100-continue\r\n"
                b"Content-Length: 1000000\r\n\r\n"
            )
            reply = await client.reply()

            assert (reply.status, reply.body, reply.get("connection")) == (413, b"no", "close")


# What clients do.


async def test_when_the_last_client_that_waits_has_gone_so_has_the_origins_work() -> None:
    gone = asyncio.Event()

    async def silent(heard: Heard, wire: Wire) -> None:
        await wire.gone()
        gone.set()

    rules = RULES.replace("first_byte: 400ms", "first_byte: 30s").replace("total: 1s", "total: 60s")
    off = rules.replace("cache: {scope: public, stale_if_error: 1h}", "cache: off")
    async with ScriptedOrigin({"/a": [silent]}) as origin, gateway_before(origin, off) as world:
        client = await world.connect()
        await client.ask("/a")
        await origin.until_heard(1)
        client.reset()
        async with asyncio.timeout(5):
            await gone.wait()

        assert world.counters.exchanges_running == 0


async def test_a_client_that_leaves_inside_an_upload_ends_it_at_the_origin() -> None:
    gone = asyncio.Event()

    async def takes(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.gone()
        gone.set()

    async with ScriptedOrigin({"/a": [takes]}) as origin:
        async with gateway_before(origin, RULES) as world:
            client = await world.connect()
            await client.send(
                b"PUT /a HTTP/1.1\r\nHost: hub.test\r\nExpect: 100-continue\r\n"
                b"Content-Length: 1000\r\n\r\n"
            )
            await client.head()
            await client.send(b"some of it")
            client.reset()
            async with asyncio.timeout(5):
                await gone.wait()


async def test_a_client_that_leaves_inside_a_download_leaves_it_to_the_others() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await wire.send(HEAD + b"Content-Length: 8\r\n\r\nhalf")
        await go.wait()
        await wire.send(b"rest")

    async with ScriptedOrigin({"/a": [slow]}) as origin, gateway_before(origin, RULES) as world:
        leaver, stayer = await world.connect(), await world.connect()
        for client in (leaver, stayer):
            await client.ask("/a")
            await client.head()
        leaver.reset()
        go.set()

        assert await stayer.reader.readexactly(8) == b"halfrest"
        assert await asks(world) == "200 halfrest"
    assert len(origin.heard) == 1


async def test_trailers_that_belong_into_a_head_go_no_further() -> None:
    trailers = (
        b"X-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nSet-Cookie: s=1\r\n"
        b"Cache-Control: max-age=9\r\nHost: evil.test\r\nLocation: /x\r\nConnection: close\r\n"
    )
    answer = (
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\none\r\n0\r\n" + trailers + b"\r\n"
    )
    async with ScriptedOrigin({"/a": [answer]}) as origin, gateway_before(origin, RULES) as world:
        reply = await world.get("/a", te="trailers")

    assert reply.body == b"one"
    assert reply.trailers == [("X-Sum", "1")]
