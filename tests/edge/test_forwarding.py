"""What of a head goes on: to the origin, and back to the client."""

import pytest

from gateway.edge import forwarding
from gateway.wire.fields import Fields
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import gateway_before


async def test_the_origin_hears_who_asks_and_how() -> None:
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            await world.get("/a?q=1", accept="text/html")

        heard = origin.heard[0]
        assert heard.line == "GET /a?q=1 HTTP/1.1"
        assert heard.get("host") == "hub.test"
        assert heard.get("accept") == "text/html"
        assert heard.get("via") == "1.1 gateway"
        assert heard.get("x-forwarded-for") == "127.0.0.1"
        assert heard.get("x-forwarded-proto") == "http"
        assert heard.get("x-forwarded-host") == "hub.test"
        assert heard.get("forwarded") == 'for=127.0.0.1;host="hub.test";proto=http'


async def test_what_a_client_claims_about_its_way_is_replaced() -> None:
    claims = {
        "x_forwarded_for": "10.0.0.1",
        "x_forwarded_host": "evil.test",
        "x_forwarded_proto": "https",
        "x_real_ip": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
    }
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            await world.get("/a", via="1.0 fred", **claims)

        heard = origin.heard[0]
        assert not any("10.0.0.1" in value or "evil" in value for _, value in heard.fields)
        assert heard.get("via") == "1.0 fred, 1.1 gateway"


async def test_hop_by_hop_fields_end_here_on_the_way_to_the_origin() -> None:
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            await world.get(
                "/a",
                connection="keep-alive, X-Mine, Cookie",
                x_mine="1",
                keep_alive="timeout=5",
                te="trailers",
                proxy_authorization="Basic abc",
                upgrade="h2c",
                cookie="kept=1",
            )

        heard = origin.heard[0]
        gone = ("x-mine", "keep-alive", "te", "proxy-authorization", "upgrade", "connection")
        assert [heard.get(name) for name in gone] == [None] * len(gone)
        assert heard.get("cookie") == "kept=1"


async def test_hop_by_hop_fields_end_here_on_the_way_back() -> None:
    answer = ok(
        connection="X-Mine",
        x_mine="1",
        keep_alive="timeout=5",
        proxy_authenticate="Basic",
        x_other="2",
        cache_control="no-store",
    )
    async with scripted_origin(a=answer) as origin, gateway_before(origin) as world:
        reply = await world.get("/a")

        gone = ("x-mine", "keep-alive", "proxy-authenticate", "connection")
        assert [reply.get(name) for name in gone] == [None] * len(gone)
        assert (reply.get("x-other"), reply.get("via")) == ("2", "1.1 gateway")


async def test_the_host_of_an_origin_replaces_the_clients() -> None:
    rules = "version: 1\norigins: {hub: {servers: ['http://127.0.0.1:1'], host: inner.test}}\n"
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin, rules) as world:
            await world.get("/a")

        assert origin.heard[0].get("host") == "inner.test"
        assert origin.heard[0].get("x-forwarded-host") == "hub.test"


async def test_an_absolute_target_names_the_host_too() -> None:
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            client = await world.connect()
            await client.send(b"GET http://Hub.Test/a?x HTTP/1.1\r\nHost: hub.test\r\n\r\n")
            await client.reply()

        assert origin.heard[0].line == "GET /a?x HTTP/1.1"
        assert origin.heard[0].get("host") == "hub.test"


async def test_methods_that_we_have_never_heard_of_are_forwarded() -> None:
    async with scripted_origin(a=ok()) as origin, gateway_before(origin) as world:
        reply = await world.get("/a", "PROPFIND")

        assert (reply.status, reply.word) == (200, "BYPASS")
        assert origin.lines() == ["PROPFIND /a HTTP/1.1"]


async def test_options_may_ask_about_the_whole_server() -> None:
    origin = ScriptedOrigin({"*": [response("204 No Content", allow="GET")]})
    async with origin, gateway_before(origin) as world:
        reply = await world.get("*", "OPTIONS")

        assert (reply.status, reply.get("allow")) == (204, "GET")


async def test_a_response_without_a_date_gets_one() -> None:
    async with scripted_origin(a=ok(cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            reply = await world.get("/a")

        assert reply.get("date") == "Fri, 15 Jan 2027 08:00:00 GMT"


async def test_a_websocket_carries_bytes_both_ways_until_one_side_closes() -> None:
    async def echo(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: abc\r\n\r\nhello"
        )
        while data := await wire.reader.read(65536):
            await wire.send(data.upper())

    async with scripted_origin(ws=echo) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/ws", connection="Upgrade", upgrade="websocket", sec_websocket_key="abc")
        head = await client.head()
        greeting = await client.reader.readexactly(5)
        await client.send(b"\x81\x00binary")
        echoed = await client.reader.readexactly(8)
        client.writer.write_eof()

        assert (head.status, head.get("upgrade"), head.get("connection")) == (
            101,
            "websocket",
            "Upgrade",
        )
        assert head.get("sec-websocket-accept") == "abc"
        assert (greeting, echoed) == (b"hello", b"\x81\x00BINARY")
        assert await client.at_end() == b""
        assert world.counters.exchanges_running == 0


async def test_an_origin_that_refuses_a_websocket_is_heard() -> None:
    async with scripted_origin(ws=response("403 Forbidden", b"no")) as origin:
        async with gateway_before(origin) as world:
            reply = await world.get("/ws", connection="Upgrade", upgrade="websocket")

        assert (reply.status, reply.body) == (403, b"no")


async def test_an_origin_that_switches_unasked_is_not_followed() -> None:
    async def eager(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n")

    async with scripted_origin(a=eager) as origin, gateway_before(origin) as world:
        assert (await world.get("/a")).status == 502


@pytest.mark.parametrize(
    ("connection", "gone"),
    [
        (b"close", b"close"),
        (b"X-A, x-b", b"x-a"),
        (b" ,, X-B ,", b"x-b"),
        (b"Host", None),
        (b"Content-Length, Cache-Control", None),
    ],
)
def test_connection_nominates_only_what_may_end_here(connection: bytes, gone: bytes | None) -> None:
    names = forwarding.hop_by_hop(Fields.of((b"Connection", connection)))

    nominated = names - forwarding.HOP_BY_HOP
    assert (gone in nominated) if gone else not nominated


async def test_an_upgrade_to_anything_but_a_websocket_is_no_upgrade() -> None:
    async with scripted_origin(a=ok(b"plain", cache_control="no-store")) as origin:
        async with gateway_before(origin) as world:
            reply = await world.get(
                "/a", connection="Upgrade, HTTP2-Settings", upgrade="h2c", http2_settings="AA"
            )

        assert reply.body == b"plain"
        assert origin.heard[0].get("http2-settings") is None
