"""HTTP/2 to clients: the same answers, other frames."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.doubles.certificates import Authority
from tests.doubles.h2_client import Http2Client
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, scripted_origin
from tests.doubles.serving import until
from tests.doubles.world import World, gateway_before

ENHANCE_YOUR_CALM = 11


@asynccontextmanager
async def over_h2(
    folder: Path, origin: ScriptedOrigin, more: str = ""
) -> AsyncIterator[tuple[World, Callable[[], "asyncio.Future[Http2Client]"]]]:
    authority = Authority(folder)
    files = authority.issue("hub.test")
    rules = (
        "version: 1\nlisten:\n  tls:\n    address: 127.0.0.1:0\n    certificates:\n"
        f"      - {{certificate: {files.certificate}, key: {files.key}}}\n{more}"
    )
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    clients: list[Http2Client] = []
    async with gateway_before(origin, rules) as world:
        address = world.gateway.secure_address
        assert address is not None

        async def open_one() -> Http2Client:
            client = await Http2Client.connect(address, context, "hub.test")
            clients.append(client)
            return client

        try:
            yield world, lambda: asyncio.ensure_future(open_one())
        finally:
            for client in clients:
                client.close()


async def test_hits_misses_and_their_words_are_those_of_http_1_1(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        first, second = await client.get("/a"), await client.get("/a")

        assert (first.status, first.body, first.headers["x-cache"]) == (200, b"a", "MISS")
        assert (second.status, second.body, second.headers["x-cache"]) == (200, b"a", "HIT")
        assert second.headers["content-length"] == "1"
        assert not {"connection", "transfer-encoding", "keep-alive"} & second.headers.keys()
        assert origin.heard[0].get("x-forwarded-proto") == "https"
        assert origin.heard[0].get("host") == "hub.test"


async def test_many_streams_are_answered_side_by_side(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"slow", cache_control="no-store"))

    async with (
        scripted_origin(slow=slow, a=ok(b"a", max_age=60)) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        waiting = [await client.ask("/slow") for _ in range(20)]
        assert (await client.get("/a")).body == b"a"
        go.set()

        assert [(await client.answer(each)).body for each in waiting] == [b"slow"] * 20


async def test_a_head_and_a_304_have_no_body(tmp_path: Path) -> None:
    answer = ok(b"12345", max_age=60, etag='"x"')
    async with (
        ScriptedOrigin({"/a": [answer, answer]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        await client.get("/a")
        head = await client.get("/a", "HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")
        same = await client.get("/a", if_none_match='"x"')
        assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize("sized", [True, False])
async def test_a_body_goes_to_the_origin_with_flow_control(tmp_path: Path, *, sized: bool) -> None:
    body = bytes(range(256)) * 8000
    async with (
        ScriptedOrigin({"/up": [ok(b"taken")]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        fields = {"content_length": str(len(body))} if sized else {}
        number = await client.ask("/up", "POST", end=False, **fields)
        await client.send_body(number, body)

        assert (await client.answer(number)).body == b"taken"
        assert origin.heard[0].body == body


async def test_an_answer_waits_for_the_windows_of_its_client_and_holds_the_origin_back(
    tmp_path: Path,
) -> None:
    body = b"x" * 8_000_000
    async with (
        ScriptedOrigin({"/big": [ok(body, cache_control="no-store")], "/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        client.takes_data = False
        number = await client.ask("/big")
        answer = client.answers[number]
        await client.until(lambda: len(answer.body) == 65535)

        client.takes_data = True
        client.frames.acknowledge_received_data(65535, number)
        await client.flush()
        assert (await client.answer(number)).body == body
        assert (await client.get("/a")).body == b"a"


async def test_a_stream_arrives_as_the_origin_sends_it_with_trailers(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def stream(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go.wait()
        await wire.send(b"3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n")

    async with scripted_origin(s=stream) as origin, over_h2(tmp_path, origin) as (_, connect):
        client = await connect()
        number = await client.ask("/s", te="trailers")
        await client.until(lambda: client.answers[number].body == b"one")
        go.set()
        answer = await client.answer(number)

        assert answer.body == b"onetwo"
        assert answer.trailers == {"x-sum": "6"}


async def test_early_hints_are_passed_on(tmp_path: Path) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    async with (
        scripted_origin(page=hints + ok(b"page", cache_control="no-store")) as origin,
        over_h2(tmp_path, origin) as (world, connect),
    ):
        answer = await (await connect()).get("/page")
        assert answer.interim == [{":status": "103", "link": "</a.css>; rel=preload"}]
        assert answer.body == b"page"

        plain = await world.get("/page")
        assert [(each.status, each.get("link")) for each in plain.interim] == [
            (103, "</a.css>; rel=preload")
        ]


async def test_cookies_in_crumbs_reach_the_origin_as_one(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(cache_control="no-store")]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        head = [*client.head("/a"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
        await client.answer(await client.send_head(head))

        assert [value for name, value in origin.heard[0].fields if name.lower() == "cookie"] == [
            "a=1; b=2"
        ]


async def test_an_answer_that_breaks_off_resets_its_stream_alone(tmp_path: Path) -> None:
    async def broken(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        wire.reset()

    async with (
        scripted_origin(broken=broken, a=ok(b"a", max_age=60)) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        answer = await client.get("/broken")
        assert answer.reset is not None or answer.status == 502
        assert (await client.get("/a")).body == b"a"


async def test_a_cancelled_stream_cancels_its_request(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await wire.gone()
        gone.set()

    async with (
        scripted_origin(slow=slow, a=ok(b"a")) as origin,
        over_h2(tmp_path, origin, "routes: [{match: {path: /slow}, cache: off}]\n") as (_, connect),
    ):
        client = await connect()
        number = await client.ask("/slow")
        await origin.until_heard(1)
        client.frames.reset_stream(number, 8)
        await client.flush()
        async with asyncio.timeout(5):
            await gone.wait()

        assert (await client.get("/a")).body == b"a"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({":path": "/a/../b"}, 400),
        ({":path": "/a%2fb"}, 400),
        ({":path": "https://other.test/"}, 400),
        ({":path": "/" + "x" * 9000}, 414),
        ({":method": "TRACE"}, 405),
        ({"x-big": "y" * 40_000}, 431),
        ({"expect": "miracles"}, 417),
        ({":authority": "a b"}, 400),
    ],
)
async def test_a_request_that_is_refused_gets_its_status_and_the_others_go_on(
    tmp_path: Path, change: dict[str, str], status: int
) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        client = await connect()
        head = dict(client.head("/a")) | {n.encode(): v.encode() for n, v in change.items()}
        refused = await client.answer(await client.send_head(list(head.items())))

        assert refused.status == status
        assert (await client.get("/a")).body == b"a"
        assert len(origin.heard) == 1


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"te", b"gzip"),
        (b"upgrade", b"h2c"),
        (b"X-Upper", b"1"),
        (b"x-line", b"a\r\nx-smuggled: 1"),
        (b"x-nul", b"a\x00b"),
        (b"host", b"other.test"),
        (b":unknown", b"1"),
    ],
)
async def test_fields_that_http_2_forbids_never_reach_the_origin(
    tmp_path: Path, field: tuple[bytes, bytes]
) -> None:
    async with ScriptedOrigin({}) as origin, over_h2(tmp_path, origin) as (_, connect):
        client = await connect()
        number = await client.send_head([*client.head("/a"), field])
        answer = client.answers[number]
        async with asyncio.timeout(5):
            while not (client.closed or answer.ended or answer.reset is not None):
                await client.step()

        assert client.goodbye is not None or answer.reset is not None or answer.status == 400
        assert origin.heard == []


async def test_a_body_over_the_limit_gets_413_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin, "limits: {body: 1KB}\n") as (_, connect),
    ):
        client = await connect()
        for fields in ({}, {"content_length": "5000"}):
            number = await client.ask("/up", "POST", end=False, **fields)
            client.frames.send_data(number, b"x" * 5000)
            await client.flush()
            assert (await client.answer(number)).status == 413
        assert (await client.get("/a")).body == b"a"


async def _rapid_reset(client: Http2Client) -> None:
    number = await client.ask("/a")
    client.frames.reset_stream(number, 8)


async def _ping(client: Http2Client) -> None:
    client.frames.ping(b"12345678")


async def _settings(client: Http2Client) -> None:
    client.writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")


async def _priority(client: Http2Client) -> None:
    client.writer.write(b"\x00\x00\x05\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10")


async def _unknown(client: Http2Client) -> None:
    client.writer.write(b"\x00\x00\x00\xbb\x00\x00\x00\x00\x00")


async def _window(client: Http2Client) -> None:
    client.writer.write(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01")


async def _empty_data(client: Http2Client) -> None:
    if not client.answers:
        await client.ask("/up", "POST", end=False)
    client.writer.write(b"\x00\x00\x00\x00\x00\x00\x00\x00\x01")


@pytest.mark.parametrize(
    "frame",
    [_rapid_reset, _ping, _settings, _priority, _unknown, _window, _empty_data],
    ids=lambda each: each.__name__,
)
async def test_a_flood_of_frames_without_use_ends_the_connection_and_no_other(
    tmp_path: Path, frame: Callable[[Http2Client], "asyncio.Future[None]"]
) -> None:
    async def never(heard: Heard, wire: Wire) -> None:
        await wire.gone()

    async with (
        scripted_origin(up=never, a=ok(b"a", max_age=60)) as origin,
        over_h2(tmp_path, origin) as (world, connect),
    ):
        good, bad = await connect(), await connect()
        assert (await good.get("/a")).body == b"a"
        for _ in range(600):
            try:
                await frame(bad)
                await bad.flush()
            except (ConnectionError, ssl.SSLError):
                break
        await bad.until_closed()

        assert bad.goodbye in (None, ENHANCE_YOUR_CALM)
        assert (await good.get("/a")).body == b"a"
        await until(lambda: world.counters.connections_open == 1)
        await until(lambda: not world.counters.exchanges_running)


async def test_headers_that_never_end_are_cut_off(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin) as (_, connect),
    ):
        bad, good = await connect(), await connect()
        fragment = b"\x00\x03xyz\x03abc"
        size = len(fragment).to_bytes(3, "big")
        bad.writer.write(size + b"\x01\x01\x00\x00\x00\x01" + fragment)
        for _ in range(500):
            bad.writer.write(size + b"\x09\x00\x00\x00\x00\x01" + fragment)
        await bad.until_closed()

        assert (await good.get("/a")).body == b"a"


async def test_a_client_that_opens_no_window_is_reset(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/big": [ok(b"x" * 1_000_000, max_age=60)], "/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin, "limits: {send_timeout: 300ms}\n") as (world, connect),
    ):
        client = await connect()
        client.takes_data = False
        answer = await client.answer(await client.ask("/big"))

        assert answer.reset is not None
        assert not world.counters.exchanges_running


async def test_a_connection_without_requests_is_closed_in_order(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({}) as origin,
        over_h2(tmp_path, origin, "limits: {idle_timeout: 200ms}\n") as (_, connect),
    ):
        client = await connect()
        await client.until_closed()

        assert client.goodbye == 0


async def test_draining_lets_running_streams_finish_and_takes_no_more(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"late", cache_control="no-store"))

    async with scripted_origin(slow=slow) as origin, over_h2(tmp_path, origin) as (world, connect):
        client = await connect()
        number = await client.ask("/slow")
        await origin.until_heard(1)
        draining = asyncio.ensure_future(world.gateway.drain(5.0))
        await client.until(lambda: client.goodbye is not None)
        go.set()

        assert (await client.answer(number)).body == b"late"
        await client.until_closed()
        await draining


async def test_http_1_1_is_spoken_to_who_wants_it_and_where_http_2_is_off(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        over_h2(tmp_path, origin, "    http2: false\n") as (_, connect),
    ):
        with pytest.raises(ConnectionError, match=r"http/1\.1"):
            await connect()


async def test_curl_gets_the_same_by_both_versions(tmp_path: Path) -> None:
    body = b"x" * 300_000
    async with (
        ScriptedOrigin({"/big": [ok(body, max_age=60)]}) as origin,
        over_h2(tmp_path, origin) as (world, _),
    ):
        assert world.gateway.secure_address is not None
        port = world.gateway.secure_address[1]
        for version in ("--http2", "--http1.1"):
            process = await asyncio.create_subprocess_exec(
                "curl", "-s", version, "--cacert", str(tmp_path / "authority.pem"),
                "--resolve", f"hub.test:{port}:127.0.0.1", "-w", "\n%{http_version} %{http_code}",
                f"https://hub.test:{port}/big", stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await process.communicate()
            got, _, told = out.rpartition(b"\n")
            assert got == body
            assert told == (b"2 200" if version == "--http2" else b"1.1 200")
