"""Where a request comes from, when it comes through proxies."""

import pytest

from gateway.edge.trusted import parse_address
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.world import gateway_before

TRUSTING = "version: 1\nlisten: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}\n"
ELSEWHERE = "version: 1\nlisten: {trusted_proxies: 10.0.0.0/8}\n"


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7, 10.1.2.3, 10.9.9.9", "192.0.2.7"),
        ("10.1.2.3", "10.1.2.3"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, unknown, 10.1.2.3", "10.1.2.3"),
        ("nonsense", "127.0.0.1"),
    ],
)
async def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    sent: str, client: str
) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        gateway_before(origin, TRUSTING) as world,
    ):
        await world.get("/a", x_forwarded_for=sent)

        assert origin.heard[0].get("x-forwarded-for") == client


async def test_what_others_say_about_where_they_come_from_does_not_count() -> None:
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        gateway_before(origin, ELSEWHERE) as world,
    ):
        await world.get("/a", x_forwarded_for="192.0.2.7", x_forwarded_proto="https")

        assert origin.heard[0].get("x-forwarded-for") == "127.0.0.1"
        assert origin.heard[0].get("x-forwarded-proto") == "http"


async def test_requests_of_different_clients_on_one_connection_are_told_apart() -> None:
    rules = TRUSTING + "routes: [{match: {path: /*}, access: {deny: 192.0.2.0/24}}]\n"
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        for _ in range(3):
            assert (await client.get("/a", x_forwarded_for="192.0.2.7")).status == 403
            assert (await client.get("/a", x_forwarded_for="198.51.100.7")).status == 200


async def test_the_scheme_that_a_trusted_proxy_tells_goes_to_the_origin_and_into_the_key() -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"plain", max_age=60), ok(b"secure", max_age=60)]}) as origin,
        gateway_before(origin, TRUSTING) as world,
    ):
        for _ in range(3):
            assert (await world.get("/a")).body == b"plain"
            assert (await world.get("/a", x_forwarded_proto="https")).body == b"secure"

        assert [each.get("x-forwarded-proto") for each in origin.heard] == ["http", "https"]
        forwarded = origin.heard[1].get("forwarded")
        assert forwarded is not None
        assert forwarded.endswith("proto=https")


async def test_a_proxy_of_many_clients_may_have_many_connections() -> None:
    rules = TRUSTING + "limits: {connections_per_client: 1}\n"
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        clients = [await world.connect() for _ in range(3)]

        assert [(await each.get("/a")).status for each in clients] == [200] * 3


async def test_plain_http_is_sent_to_https_by_rule_and_https_is_not() -> None:
    rules = TRUSTING + (
        "routes:\n  - {name: tls, match: {scheme: http}, redirect: https}\n"
        "  - {match: {path: /*}}\n"
    )
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        reply = await world.get("/a%20b?x=1", host="hub.test:8080")
        assert reply.status == 301
        assert reply.get("location") == "https://hub.test/a%20b?x=1"
        for _ in range(3):
            assert (await world.get("/a", x_forwarded_proto="https")).body == b"a"
            assert (await world.get("/a")).status == 301


async def test_answers_by_https_tell_browsers_to_use_nothing_else() -> None:
    rules = "version: 1\nlisten:\n  trusted_proxies: 127.0.0.1\n  hsts: {max_age: 1y, "
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules + "subdomains: true, preload: true}\n") as world,
    ):
        for _ in range(3):
            reply = await world.get("/a", x_forwarded_proto="https")
            expected = "max-age=31536000; includeSubDomains; preload"
            assert reply.get("strict-transport-security") == expected
            assert (await world.get("/a")).get("strict-transport-security") is None


@pytest.mark.parametrize("text", [b"", b"hub.test", b"1.2.3", b"[::1", b"1.2.3.4:x", b"_hidden"])
def test_what_is_no_address_is_none(text: bytes) -> None:
    assert parse_address(text) is None


async def test_a_purge_by_url_clears_what_is_stored_for_either_scheme() -> None:
    rules = (
        TRUSTING
        + "routes: [{match: {path: /*}, cache: {scope: public}, purge: {allow: 127.0.0.1}}]\n"
    )
    async with (
        ScriptedOrigin({"/a": [ok(b"1", max_age=60)] * 4}) as origin,
        gateway_before(origin, rules) as world,
    ):
        await world.get("/a")
        await world.get("/a", x_forwarded_proto="https")

        world.pass_time(1)
        assert (await world.get("/a", "PURGE")).status == 200
        world.pass_time(1)

        assert (await world.get("/a")).word == "MISS"
        assert (await world.get("/a", x_forwarded_proto="https")).word == "MISS"
