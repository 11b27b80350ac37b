"""`gateway warm`, as an operator runs it: against a real gateway before a scripted origin."""

import asyncio
import gzip
import json
import sys
import time
from pathlib import Path

import pytest

from tests.doubles.origin import ScriptedOrigin, ok, response
from tests.doubles.world import World, gateway_before
from tests.edge.test_treatments import PUBLIC, rules

RULES = rules(f"name: pages, match: {{path: /*}}, {PUBLIC}")
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def sitemap(*urls: str, kind: str = "url", root: str = "urlset") -> bytes:
    entries = "".join(
        f"<{kind}><loc> {url} </loc><lastmod>2026-11-24</lastmod></{kind}>\n" for url in urls
    )
    return f'<?xml version="1.0"?>\n<{root} {NAMESPACE}>\n{entries}</{root}>\n'.encode()


async def warm(world: World, source: str, *flags: str, stdin: bytes = b"") -> tuple[int, str, str]:
    host, port = world.address
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "warm", source, "--to", f"http://{host}:{port}"),
        *("--rate", "1000", *flags),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_file_of_urls_is_asked_for_once_each_and_then_there(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text("# the busiest\n/a?x=1\n\nhttps://hub.test/b\n/a?x=1\n")
    origin = ScriptedOrigin({"*": [ok(b"body")]})
    async with origin, gateway_before(origin, RULES) as world:
        first = await warm(world, str(file), "--host", "hub.test")
        second = await warm(world, str(file), "--host", "hub.test", "--json")
        client = await world.get("/b")

    assert (first[0], first[1].partition(" s: ")[2]) == (0, "2 MISS\n")
    assert json.loads(second[1])["words"] == {"HIT": 2}
    assert client.word == "HIT"
    assert sorted(origin.lines()) == ["GET /a?x=1 HTTP/1.1", "GET /b HTTP/1.1"]


async def test_a_sitemap_behind_the_gateway_is_followed_into_its_parts() -> None:
    pages = [f"https://hub.test/page/{number}" for number in range(5)]
    index = sitemap(
        "https://hub.test/one.xml", "https://hub.test/two.xml.gz", kind="sitemap",
        root="sitemapindex",
    )  # fmt: skip
    origin = ScriptedOrigin(
        {
            "/sitemap.xml": [ok(index)],
            "/one.xml": [ok(sitemap(*pages[:3]))],
            "/two.xml.gz": [ok(gzip.compress(sitemap(*pages[2:])))],
            "*": [ok(b"page")],
        }
    )
    async with origin, gateway_before(origin, RULES) as world:
        status, out, _ = await warm(world, "/sitemap.xml", "--host", "hub.test")
        hit = await world.get("/page/4")

    assert (status, out.partition(" s: ")[2]) == (0, "5 MISS\n")
    assert hit.word == "HIT"


async def test_no_more_is_asked_in_a_second_than_was_allowed(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text("".join(f"/{number}\n" for number in range(11)))
    origin = ScriptedOrigin({"*": [ok(b"body")]})
    async with origin, gateway_before(origin, RULES) as world:
        began = time.monotonic()
        await warm(world, str(file), "--rate", "10")
        lasted = time.monotonic() - began

    assert lasted >= 1.0


async def test_what_isnt_answered_well_is_named(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")], "/broken": [response("500 Oh", b"x")]})
    async with origin, gateway_before(origin, RULES) as world:
        status, out, err = await warm(world, "-", stdin=b"/a\n/gone\n/broken\n")

    assert status == 1
    assert out.startswith("3 URLs")
    assert "/gone: 404" in err
    assert "/broken: 500" in err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "names no URL", id="empty"),
        pytest.param(b"/a\nhub.test/b\n", "urls:2: expected a URL or a path", id="no-url"),
        pytest.param(b"<urlset><url></urlset>", "urls:1:16: this is no XML", id="no-xml"),
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a "b">]><urlset/>', "declares a document type", id="entities"
        ),
        pytest.param(b"\x1f\x8bnothing", "can't be unpacked", id="no-gzip"),
    ],
)
async def test_a_source_that_cannot_be_used_is_an_error_that_says_where(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "urls").write_bytes(content)
    origin = ScriptedOrigin({"*": [ok(b"body")]})
    async with origin, gateway_before(origin, RULES) as world:
        status, _, err = await warm(world, str(tmp_path / "urls"))

    assert status == 1
    assert complaint in err
    assert origin.heard == []


async def test_without_a_gateway_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("/a\n")
    origin = ScriptedOrigin({})
    async with origin, gateway_before(origin, RULES) as world:
        world.address = ("127.0.0.1", 1)
        status, _, err = await warm(world, str(tmp_path / "urls"))

    assert status == 1
    assert "/a: no answer" in err
