"""TLS to clients: certificates by name, new ones without a restart."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config.build import load
from gateway.errors import ConfigurationError
from tests.doubles.certificates import Authority, Files
from tests.doubles.client import RawClient
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import until
from tests.doubles.world import World, gateway_before


def rules(*certificates: Files, more: str = "") -> str:
    listed = "".join(
        f"      - {{certificate: {each.certificate}, key: {each.key}}}\n" for each in certificates
    )
    return (
        f"version: 1\nlisten:\n  tls:\n    address: 127.0.0.1:0\n    certificates:\n{listed}{more}"
    )


def trusting(authority: Authority, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


async def connect(world: World, context: ssl.SSLContext, name: str | None) -> RawClient:
    assert world.gateway.secure_address is not None
    reader, writer = await asyncio.open_connection(
        *world.gateway.secure_address, ssl=context, server_hostname=name or ""
    )
    client = RawClient(reader, writer)
    world.clients.append(client)
    return client


def serial(client: RawClient) -> int:
    peer = client.writer.get_extra_info("ssl_object")
    return x509.load_der_x509_certificate(peer.getpeercert(binary_form=True)).serial_number


async def test_a_request_by_https_is_answered_and_the_origin_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    text = rules(authority.issue("hub.test"))
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, text) as world,
    ):
        client = await connect(world, trusting(authority), "hub.test")
        assert (await client.get("/a")).body == b"a"
        assert (await client.get("/a")).word == "HIT"
        assert origin.heard[0].get("x-forwarded-proto") == "https"

        # Plain HTTP goes on beside it, with a cache of its own.
        assert (await world.get("/a")).word == "MISS"
        assert (await world.get("/a")).word == "HIT"


async def test_each_name_gets_its_certificate_and_unknown_ones_the_first(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first, second, star = (
        authority.issue("hub.test"),
        authority.issue("shop.test"),
        authority.issue("*.pages.test"),
    )
    unchecked = trusting(authority)
    unchecked.check_hostname = False
    async with (
        ScriptedOrigin({}) as origin,
        gateway_before(origin, rules(first, second, star)) as world,
    ):
        for name in ("hub.test", "shop.test", "SHOP.test", "a.pages.test"):
            (await connect(world, trusting(authority), name)).close()
        default = await connect(world, unchecked, "unknown.test")
        nameless = await connect(world, unchecked, None)
        expected = x509.load_pem_x509_certificate(first.certificate.read_bytes()).serial_number

        assert serial(default) == serial(nameless) == expected


async def test_changed_certificates_are_served_and_open_connections_go_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("hub.test")
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules(files)) as world,
    ):
        before = await connect(world, trusting(authority), "hub.test")
        old = serial(before)
        key = files.key.read_bytes()

        # One file without the other is no pair: the old ones stay.
        authority.issue("hub.test")
        new_key = files.key.read_bytes()
        files.key.write_bytes(key)
        world.pass_time(1)
        world.gateway.refresh_certificates()
        assert serial(await connect(world, trusting(authority), "hub.test")) == old

        files.key.write_bytes(new_key)
        world.gateway.refresh_certificates()
        assert serial(await connect(world, trusting(authority), "hub.test")) != old
        assert (await before.get("/a")).body == b"a"


async def test_a_reload_of_the_rules_can_add_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first, second = authority.issue("hub.test"), authority.issue("shop.test")
    async with ScriptedOrigin({}) as origin, gateway_before(origin, rules(first)) as world:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(world, trusting(authority), "shop.test")
        file = tmp_path / "rules.yaml"
        file.write_text(rules(first, second))
        world.gateway.adopt(load(file, {}, origin.url))

        (await connect(world, trusting(authority), "shop.test")).close()


@pytest.mark.parametrize(
    ("version", "least", "welcome"),
    [
        (ssl.TLSVersion.TLSv1_2, "1.2", True),
        (ssl.TLSVersion.TLSv1_3, "1.2", True),
        (ssl.TLSVersion.TLSv1_2, "1.3", False),
    ],
)
async def test_old_versions_of_tls_are_refused(
    tmp_path: Path, version: ssl.TLSVersion, least: str, *, welcome: bool
) -> None:
    authority = Authority(tmp_path)
    text = rules(authority.issue("hub.test"), more=f'    min_version: "{least}"\n')
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    async with ScriptedOrigin({}) as origin, gateway_before(origin, text) as world:
        if welcome:
            (await connect(world, context, "hub.test")).close()
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect(world, context, "hub.test")


async def test_tls_1_1_is_not_spoken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    text = rules(authority.issue("hub.test"))
    async with ScriptedOrigin({}) as origin, gateway_before(origin, text) as world:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(world, context, "hub.test")


async def test_what_is_no_handshake_ends_the_connection_and_nobody_else_s(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    text = rules(authority.issue("hub.test"))
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, text) as world,
    ):
        assert world.gateway.secure_address is not None
        client = await RawClient.connect(world.gateway.secure_address)
        await client.send(b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
        await client.at_end()
        client.close()

        good = await connect(world, trusting(authority), "hub.test")
        assert (await good.get("/a")).body == b"a"


async def test_a_proxy_header_stands_before_the_handshake(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    listen = "listen:\n  trusted_proxies: 127.0.0.1\n  proxy_protocol: true\n"
    text = rules(authority.issue("hub.test")).replace("listen:\n", listen)
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, text) as world,
    ):
        assert world.gateway.secure_address is not None
        reader, writer = await asyncio.open_connection(*world.gateway.secure_address)
        writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
        await writer.start_tls(trusting(authority), server_hostname="hub.test")
        client = RawClient(reader, writer)
        world.clients.append(client)

        assert (await client.get("/a")).body == b"a"
        assert origin.heard[0].get("x-forwarded-for") == "192.0.2.7"
        assert origin.heard[0].get("x-forwarded-proto") == "https"


async def test_a_large_answer_and_a_large_upload_pass(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    body = bytes(range(256)) * 20_000
    text = rules(authority.issue("hub.test"))
    async with (
        ScriptedOrigin({"/big": [ok(body, max_age=60)], "/up": [ok(b"taken")]}) as origin,
        gateway_before(origin, text) as world,
    ):
        client = await connect(world, trusting(authority), "hub.test")
        assert (await client.get("/big")).body == body
        await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        await client.send(body)
        assert (await client.reply()).body == b"taken"
        assert origin.heard[-1].body == body
        client.close()
        await until(lambda: not world.counters.connections_open)


@pytest.mark.parametrize("broken", ["missing", "other key", "no pem"])
def test_rules_with_a_certificate_that_can_t_be_used_are_refused(
    tmp_path: Path, broken: str
) -> None:
    authority = Authority(tmp_path)
    files, other = authority.issue("hub.test"), authority.issue("shop.test")
    if broken == "missing":
        files.key.unlink()
    elif broken == "other key":
        files.key.write_bytes(other.key.read_bytes())
    else:
        files.certificate.write_text("nothing")
    file = tmp_path / "rules.yaml"
    file.write_text(rules(files))

    with pytest.raises(
        ConfigurationError, match=r"rules\.yaml:6:9: error: listen\.tls\.certificates: "
    ):
        load(file, {}, "http://127.0.0.1:9")
