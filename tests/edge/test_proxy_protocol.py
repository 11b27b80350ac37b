"""Connections that begin with a PROXY header."""

import asyncio
import socket
import struct

import pytest

from gateway.edge.proxy_protocol import SIGNATURE, NoProxyHeader, parse
from tests.doubles.client import RawClient
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.world import gateway_before

RULES = "version: 1\nlisten: {trusted_proxies: 127.0.0.1, proxy_protocol: true}\n"
REQUEST = b"GET /a HTTP/1.1\r\nHost: hub.test\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"


def v2(source: str, *, command: int = 1, more: bytes = b"") -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    destination = "::1" if ":" in source else "127.0.0.1"
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    addresses += struct.pack("!HH", 4711, 80) + more
    kind = 0x21 if ":" in source else 0x11
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, kind, len(addresses)) + addresses


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (V1, b"192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", b"2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (v2("192.0.2.7"), b"192.0.2.7"),
        (v2("2001:db8::7"), b"2001:db8::7"),
        (v2("::ffff:192.0.2.7"), b"192.0.2.7"),
        (v2("192.0.2.7", more=b"\x04\x00\x01x"), b"192.0.2.7"),
        (v2("192.0.2.7", command=0), None),
        (SIGNATURE + b"\x21\x00\x00\x00", None),
        (SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + b"/" * 216, None),
    ],
)
def test_a_header_says_who_the_client_is_and_where_it_ends(
    header: bytes, address: bytes | None
) -> None:
    announced = parse(header + REQUEST)

    assert announced is not None
    assert announced.address == address
    assert announced.header_bytes == len(header)
    assert all(parse(header[:cut]) is None for cut in range(1, len(header)))


@pytest.mark.parametrize(
    "header",
    [
        REQUEST,
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.777 192.0.2.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80000\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 4711 80\r\n",
        b"PROXY  TCP4 192.0.2.7 192.0.2.1 4711 80\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.1 4711 80\r\n",
        b"PROXY " + b"x" * 120,
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
    ],
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(NoProxyHeader):
        parse(header)


@pytest.mark.parametrize("header", [V1, v2("192.0.2.7")], ids=["v1", "v2"])
async def test_the_announced_address_is_the_clients_everywhere(header: bytes) -> None:
    rules = RULES + "routes: [{match: {path: /denied}, access: {deny: 192.0.2.0/24}}]\n"
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        await client.send(header + REQUEST + REQUEST.replace(b"/a", b"/denied"))

        assert (await client.reply()).status == 200
        assert (await client.reply()).status == 403
        assert origin.heard[0].get("x-forwarded-for") == "192.0.2.7"


async def test_a_header_that_comes_in_pieces_is_waited_for() -> None:
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        gateway_before(origin, RULES) as world,
    ):
        client = await world.connect()
        for octet in V1[:10]:
            await client.send(bytes([octet]))
            await asyncio.sleep(0)
        await client.send(V1[10:])
        await client.send(REQUEST)

        assert (await client.reply()).status == 200
        assert origin.heard[0].get("x-forwarded-for") == "192.0.2.7"


@pytest.mark.parametrize("sent", [REQUEST, b"PROXY nonsense\r\n" + REQUEST])
async def test_a_trusted_proxy_without_a_header_is_hung_up_on(sent: bytes) -> None:
    async with ScriptedOrigin({}) as origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        await client.send(sent)

        assert await client.at_end() == b""
        assert origin.heard == []


async def test_a_header_from_anybody_else_is_no_request() -> None:
    rules = RULES.replace("127.0.0.1", "10.0.0.0/8")
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        await client.send(V1 + REQUEST)
        assert (await client.reply()).status == 400

        assert (await world.get("/a")).status == 200
        assert [each.get("x-forwarded-for") for each in origin.heard] == ["127.0.0.1"]


async def test_a_header_that_never_comes_ends_the_connection() -> None:
    rules = RULES + "limits: {head_timeout: 200ms}\n"
    async with ScriptedOrigin({}) as origin, gateway_before(origin, rules) as world:
        client = await world.connect()
        await client.send(b"PROXY ")

        assert await client.at_end() == b""


async def test_connections_per_client_go_by_the_announced_address() -> None:
    rules = RULES + "limits: {connections_per_client: 1}\n"
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        statuses = []
        for header in (V1, V1, V1.replace(b".7", b".8")):
            client: RawClient = await world.connect()
            await client.send(header + REQUEST)
            statuses.append((await client.reply()).status)

        assert statuses == [200, 429, 200]
