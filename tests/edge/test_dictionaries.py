"""Over TLS, who has one release of a file gets the difference to the next."""

import asyncio
import hashlib
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import brotli
import pytest

from gateway.storage.local import SMALLEST_QUOTA, prepare
from tests.doubles.h2_client import Answer, Http2Client
from tests.doubles.origin import PATIENCE, ScriptedOrigin, response
from tests.doubles.origin import Answer as Sent
from tests.doubles.world import World, gateway_before
from tests.edge.test_dictionary_codings import NEW, OLD, decoded
from tests.edge.test_http2 import over_h2
from tests.edge.test_tls import connect

ROUTES = """\
defaults: {compress: {dictionaries: true}}
routes:
  - {name: own, match: {path: /own/*}, cache: {ttl: 1h, scope: user}}
  - {name: off, match: {path: /off/*}, cache: {ttl: 1h, scope: public}, compress: on}
  - {name: static, match: {path: /*}, cache: {ttl: 1y, scope: public}}
"""
OLDER = OLD.replace(b"value1 ", b"before ")
ALL = "gzip, deflate, br, zstd, dcb, dcz"


def script(body: bytes, **fields: str) -> list[Sent]:
    return [response(body=body, **{"content_type": "text/javascript", "etag": '"v"', **fields})]


def having(body: bytes, accept: str = ALL) -> dict[str, str]:
    """Return what a browser sends that has *body* as a dictionary."""
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    return {"accept-encoding": accept, "available-dictionary": f":{digest}:"}


async def until_coded(client: Http2Client, target: str, **fields: str) -> Answer:
    """Return *target* once it is the difference to the dictionary of *fields*."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = await client.get(target, **fields)
        if answer.headers.get("content-encoding") in ("dcb", "dcz"):
            return answer
        assert time.monotonic() < end, answer.headers
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize(
    ("accept", "coding"),
    [(ALL, "dcb"), ("br, zstd, dcz", "dcz"), ("dcz, dcb;q=0.9, br;q=0.5", "dcz")],
)
async def test_who_has_the_last_release_gets_the_difference(
    tmp_path: Path, encoded: bool, accept: str, coding: str
) -> None:
    def sent(body: bytes) -> list[Sent]:
        return script(brotli.compress(body), content_encoding="br") if encoded else script(body)

    origin = ScriptedOrigin({"/app.0123456789.js": sent(OLD), "/app.9876543210.js": sent(NEW)})
    async with origin, over_h2(tmp_path, origin, ROUTES) as (world, connect):
        client = await connect()
        for target in ("/app.0123456789.js", "/app.9876543210.js"):
            await client.get(target, **{"accept-encoding": ALL})
        old = await client.get("/app.0123456789.js", **{"accept-encoding": ALL})
        usual = await client.get("/app.9876543210.js", **{"accept-encoding": ALL})
        meanwhile = await client.get("/app.9876543210.js", **having(OLD, accept))
        answer = await until_coded(client, "/app.9876543210.js", **having(OLD, accept))
        tag = {"if-none-match": answer.headers["etag"]}
        again = await client.get("/app.9876543210.js", **having(OLD, accept), **tag)
        other = await client.get("/app.9876543210.js", **having(b"something else"))
        made = {each.coding: each.bodies for each in world.gateway.reading().encodings}

    assert old.headers["use-as-dictionary"] == 'match="/app.*.js"'
    assert brotli.decompress(usual.body) == brotli.decompress(meanwhile.body) == NEW
    assert decoded(answer.body, OLD) == NEW
    assert len(answer.body) < len(usual.body) / 3
    assert answer.headers["vary"] == "Accept-Encoding, Available-Dictionary"
    assert answer.headers["use-as-dictionary"] == 'match="/app.*.js"'
    assert answer.headers["etag"] != usual.headers["etag"]
    assert (again.status, again.headers["etag"]) == (304, answer.headers["etag"])
    assert other.headers["content-encoding"] == "br"
    assert other.headers["vary"] == "Accept-Encoding, Available-Dictionary"
    assert answer.headers["content-encoding"] == coding
    assert made[coding] == 1
    assert all(heard.get("available-dictionary") is None for heard in origin.heard)


async def test_several_releases_are_followed_at_once(tmp_path: Path) -> None:
    origin = ScriptedOrigin(
        {
            "/app.aaaaaaaa.js": script(OLDER),
            "/app.bbbbbbbb.js": script(OLD),
            "/app.cccccccc.js": script(NEW),
        }
    )
    async with origin, over_h2(tmp_path, origin, ROUTES) as (_, connect):
        client = await connect()
        for name in ("aaaaaaaa", "bbbbbbbb", "cccccccc") * 2:
            await client.get(f"/app.{name}.js", **{"accept-encoding": ALL})
        for dictionary in (OLDER, OLD, OLDER):
            answer = await until_coded(client, "/app.cccccccc.js", **having(dictionary))
            assert decoded(answer.body, dictionary) == NEW


async def test_without_tls_nothing_is_said_of_dictionaries() -> None:
    origin = ScriptedOrigin({"/app.0123456789.js": script(OLD)})
    async with origin, gateway_before(origin, "version: 1\n" + ROUTES) as world:
        for _ in range(3):
            reply = await world.get(
                "/app.0123456789.js", **{k.replace("-", "_"): v for k, v in having(OLD).items()}
            )
            assert reply.get("use-as-dictionary") is None
            assert reply.get("content-encoding") == "br"
            assert reply.get("vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/app.js", "text/javascript"),
        ("/own/app.0123456789.js", "text/javascript"),
        ("/a.0123456789.png", "image/png"),
    ],
)
async def test_what_has_no_next_release_or_is_not_public_is_no_dictionary(
    tmp_path: Path, target: str, kind: str
) -> None:
    origin = ScriptedOrigin({"*": script(OLD, content_type=kind)})
    async with origin, over_h2(tmp_path, origin, ROUTES) as (_, connect):
        client = await connect()
        for _ in range(3):
            answer = await client.get(target, **having(OLD))
            assert "use-as-dictionary" not in answer.headers
            assert answer.headers.get("content-encoding") not in ("dcb", "dcz")


async def test_dictionaries_that_nobody_knows_cost_no_memory(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"/app.9876543210.js": script(NEW)})
    async with origin, over_h2(tmp_path, origin, ROUTES) as (world, _):
        trusting = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        client = await connect(world, trusting, "hub.test")
        replies = []
        for each in range(50):
            fields = {name.replace("-", "_"): value for name, value in having(b"%d" % each).items()}
            replies.append(await client.get("/app.9876543210.js", host="hub.test", **fields))
        (shelf,) = world.gateway.site.memory._shelves.values()

    assert {reply.get("content-encoding") for reply in replies} == {"br"}
    assert shelf.represented is not None
    assert len(shelf.represented) == 1


@asynccontextmanager
async def worker(folder: Path, origin: ScriptedOrigin) -> AsyncIterator[tuple[World, Http2Client]]:
    """Run a gateway whose local tier is the one in *folder*."""
    assert prepare(folder / "local", SMALLEST_QUOTA) is None
    rules = f"tiers: {{memory: {{size: 4MB}}, local: {{size: {SMALLEST_QUOTA}B}}}}\n{ROUTES}"
    async with over_h2(folder, origin, rules) as (world, connect):
        world.gateway.site.open_tiers(folder, None)
        yield world, await connect()


async def test_dictionaries_are_known_after_a_restart_and_to_other_workers(tmp_path: Path) -> None:
    old, new = "/app.0123456789.js", "/app.9876543210.js"
    origin = ScriptedOrigin({old: script(OLD), new: script(NEW)})
    async with origin:
        async with worker(tmp_path, origin) as (world, client):
            await client.get(old, **{"accept-encoding": ALL})
            await client.get(old, **{"accept-encoding": ALL})
            end = time.monotonic() + PATIENCE
            while not world.gateway.site.representations.dictionaries._known:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            # What waits for the tier is written as the gateway ends.
        async with worker(tmp_path, origin) as (_, client):
            answer = await until_coded(client, new, **having(OLD))

    assert decoded(answer.body, OLD) == NEW
    assert [heard.line for heard in origin.heard] == [
        f"GET {old} HTTP/1.1",
        f"GET {new} HTTP/1.1",
    ]
