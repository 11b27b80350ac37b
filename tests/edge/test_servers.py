"""Several servers behind one origin: what clients get when some of them fail."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.doubles.certificates import Authority, Files
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import World, gateway_before


def rules(*servers: str, more: str = "") -> str:
    return f"""\
version: 1
origins:
  hub: {{servers: [{", ".join(servers)}]{", " + more if more else ""}}}
routes:
  - {{match: {{path: /*}}, cache: off}}
"""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def reset(_: Heard, wire: Wire) -> None:
    wire.reset()


async def test_requests_are_spread() -> None:
    one, other = ScriptedOrigin({"/a": [ok(b"1")]}), ScriptedOrigin({"/a": [ok(b"2")]})
    async with one, other:
        text = rules(one.url, f"{{url: {other.url!r}, weight: 3}}", more="balance: round_robin")
        async with gateway_before(None, text) as world:
            bodies = [(await world.get("/a")).body for _ in range(8)]

    assert (bodies.count(b"1"), bodies.count(b"2")) == (2, 6)


async def test_the_same_url_goes_to_the_same_server() -> None:
    origins = [ScriptedOrigin({"/a": [ok(b"%d" % n)]}) for n in range(3)]
    async with origins[0], origins[1], origins[2]:
        text = rules(*(origin.url for origin in origins), more="balance: hash")
        async with gateway_before(None, text) as world:
            for n in range(60):
                bodies = {(await world.get(f"/a?{n}")).body for _ in range(2)}
                assert len(bodies) == 1

    assert min(len(origin.heard) for origin in origins) > 0


async def test_a_server_that_is_down_costs_no_client_its_answer() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    async with origin:
        text = rules(dead(), origin.url, more="balance: round_robin")
        async with gateway_before(None, text) as world:
            statuses = [(await world.get("/a")).status for _ in range(12)]
            post = await world.get("/a", "POST", content_length="0")

    assert set(statuses) == {200}
    assert post.status == 200


async def test_a_server_that_resets_is_tried_elsewhere_for_safe_methods_alone() -> None:
    broken, good = ScriptedOrigin({"/a": [reset]}), ScriptedOrigin({"/a": [ok(b"a")]})
    async with broken, good:
        text = rules(broken.url, good.url, more="balance: round_robin, eject: {after: 1000}")
        async with gateway_before(None, text) as world:
            gets = [(await world.get("/a")).status for _ in range(6)]
            posts = [(await world.get("/a", "POST", content_length="0")).status for _ in range(2)]

    assert set(gets) == {200}
    assert sorted(posts) == [200, 502]


async def test_a_server_that_fails_in_a_row_gets_nothing_for_a_while() -> None:
    broken, good = ScriptedOrigin({"/a": [reset]}), ScriptedOrigin({"/a": [ok(b"a")]})
    async with broken, good:
        text = rules(broken.url, good.url, more="balance: round_robin, eject: {after: 3, for: 1h}")
        async with gateway_before(None, text) as world:
            for _ in range(20):
                assert (await world.get("/a")).status == 200

    assert len(broken.heard) == 3


async def test_chosen_statuses_are_tried_again_within_the_budget() -> None:
    busy = ScriptedOrigin({"/a": [response("503 Busy")], "/b": [response("500 Broken")]})
    good = ScriptedOrigin({"/a": [ok(b"a")], "/b": [ok(b"b")]})
    async with busy, good:
        text = rules(
            busy.url,
            good.url,
            more="balance: round_robin, retry: {statuses: [503]}, eject: {after: 1000}",
        )
        async with gateway_before(None, text) as world:
            tried = [(await world.get("/a")).status for _ in range(6)]
            others = [(await world.get("/b")).status for _ in range(6)]

    assert set(tried) == {200}
    assert set(others) == {200, 500}


async def test_checks_find_who_is_unwell_and_who_is_back() -> None:
    checks = "health: {path: /up, interval: 100ms, unhealthy_after: 2, healthy_after: 1}"
    sick = ScriptedOrigin({"/a": [ok(b"sick")], "/up": [response("503 Down")]})
    good = ScriptedOrigin({"/a": [ok(b"good")], "/up": [ok(b"up")]})
    async with sick, good:
        text = rules(sick.url, good.url, more=f"balance: round_robin, {checks}")
        async with gateway_before(None, text) as world:
            await _until(world, lambda: _bodies(world, {b"good"}))
            sick.on("/up", ok(b"up"))
            await _until(world, lambda: _bodies(world, {b"good", b"sick"}))


async def _bodies(world: World, wanted: set[bytes]) -> bool:
    return {(await world.get("/a")).body for _ in range(6)} == wanted


async def _until(world: World, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            world.gateway.site.tick()
            await asyncio.sleep(0.02)


async def test_with_a_breaker_the_last_server_is_left_alone_too() -> None:
    broken = ScriptedOrigin({"/a": [reset]})
    async with broken:
        text = rules(broken.url, more="eject: {after: 2, for: 1h, last_too: true}")
        async with gateway_before(None, text) as world:
            replies = [await world.get("/a") for _ in range(5)]

    assert [reply.status for reply in replies] == [502, 502, 503, 503, 503]
    assert replies[-1].get("retry-after") == "1"
    assert len(broken.heard) == 2


async def secure(files: Files) -> tuple[asyncio.Server, int]:
    """Start a server that answers over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ok(b"secure"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


async def test_an_https_server_is_reached_if_its_certificate_is_good(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, port = await secure(authority.issue("hub.test"))
    url = f"https://127.0.0.1:{port}"
    async with server:
        good = rules(url, more=f"tls: {{ca: {authority.file}, name: hub.test}}")
        async with gateway_before(None, good) as world:
            assert [(await world.get("/a")).body for _ in range(2)] == [b"secure"] * 2
        unchecked = rules(url, more="tls: {verify: false}")
        async with gateway_before(None, unchecked) as world:
            assert (await world.get("/a")).body == b"secure"
        for doubtful in ("", f"tls: {{ca: {authority.file}, name: other.test}}"):
            async with gateway_before(None, rules(url, more=doubtful)) as world:
                reply = await world.get("/a")
                assert reply.status == 502
                assert b"certificate" in reply.body


async def test_a_server_is_reached_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"local"))
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server, gateway_before(None, rules(f"'unix:{path}'")) as world:
        assert (await world.get("/a")).body == b"local"
