"""Scripts and styles in the codings that clients take, made before anybody asks."""

import gzip

import brotli
import pytest
import zstandard

from tests.upstream.world import Client
from upstream.assets import Asset, Assets
from upstream.context import Hub
from upstream.handlers.static import chosen

DECODE = {
    "br": brotli.decompress,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}
ASSET = Asset("/a.js", "text/javascript", b"x", "1", {"br": b"1", "zstd": b"22", "gzip": b"333"})


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, *", "zstd"),
        ("*", "br"),
        ("*;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("BR", "br"),
        ("nonsense;;;, gzip", "gzip"),
    ],
)
def test_the_smallest_of_what_a_client_likes_best_is_chosen(
    accepted: str, coding: str | None
) -> None:
    assert chosen(accepted, ASSET) == coding


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
async def test_a_script_comes_encoded_with_a_tag_of_its_own(
    hub: Hub, anyone: Client, coding: str
) -> None:
    path = hub.assets.path("_next/static/site.css")
    asset = hub.assets.find(path)
    assert asset is not None
    # The test's client would unpack it.
    reply = await anyone.get(path, headers={"Accept-Encoding": coding}, auto_decompress=False)
    body = await reply.read()

    assert reply.headers["Content-Encoding"] == coding
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert reply.headers["ETag"] == f'"{asset.etag}-{coding}"'
    assert int(reply.headers["Content-Length"]) == len(body) < len(asset.body) * 0.6
    assert DECODE[coding](body) == asset.body
    again = {"Accept-Encoding": coding, "If-None-Match": reply.headers["ETag"]}
    assert (await anyone.get(path, headers=again)).status == 304
    other = {"Accept-Encoding": "identity", "If-None-Match": reply.headers["ETag"]}
    assert (await anyone.get(path, headers=other)).status == 200


async def test_a_picture_comes_as_it_is(hub: Hub, anyone: Client) -> None:
    paths = [
        asset.path for asset in hub.assets if asset.content_type in ("image/png", "font/woff2")
    ]
    reply = await anyone.get(paths[0], headers={"Accept-Encoding": "br, gzip"})

    assert "Content-Encoding" not in reply.headers
    assert "Vary" not in reply.headers


def test_every_process_makes_the_same_bytes() -> None:
    one, other = Assets(), Assets()

    assert {asset.path: asset.encoded for asset in one} == {
        asset.path: asset.encoded for asset in other
    }
