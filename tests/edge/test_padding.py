"""Padding hides how long private answers are that may repeat what a request said (BREACH)."""

import asyncio

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire
from tests.doubles.world import gateway_before
from tests.edge.test_compression import CODINGS, LIST, a_list, plain

PADDED = """\
version: 1
defaults: {compress: {with_query: pad, recompress: 1}}
routes:
  - {name: live, match: {path: [/live, /live/*]}, cache: off}
  - {name: shared, match: {path: /shared}, cache: {ttl: 60s, scope: public}}
  - {name: own, match: {path: /own}, cache: {ttl: 60s, scope: user}}
"""


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", ["/live", "/own"])
async def test_padding_hides_the_length_of_what_may_repeat_a_query(coding: str, path: str) -> None:
    origin = ScriptedOrigin({path: [a_list()]})
    async with origin, gateway_before(origin, PADDED) as world:
        replies = [
            await world.get(f"{path}?guess={number}", accept_encoding=coding)
            for number in range(24)
        ]
        bare = [await world.get(path, accept_encoding=coding) for _ in range(3)]

    assert all(plain(reply) == LIST for reply in [*replies, *bare])
    assert len({len(reply.body) for reply in bare}) == 1
    lengths = {len(reply.body) for reply in replies}
    assert len(lengths) > 8
    assert min(lengths) - len(bare[0].body) + 16 > 0
    assert max(lengths) - len(bare[0].body) < 300


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_body_that_comes_in_pieces_is_padded_too(coding: str) -> None:
    async def slowly(heard: Heard, wire: Wire) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        await wire.send(head + b"Content-Length: %d\r\n\r\n" % len(LIST))
        for start in range(0, len(LIST), 20_000):
            await wire.send(LIST[start : start + 20_000])
            await asyncio.sleep(0.01)

    origin = ScriptedOrigin({"/live": [slowly], "/own": [slowly]})
    async with origin, gateway_before(origin, PADDED) as world:
        replies = [
            await world.get(f"{path}?guess={number}", accept_encoding=coding)
            for number in range(6)
            for path in ("/live", "/own")
        ]

    assert all(plain(reply) == LIST for reply in replies)


async def test_what_everybody_gets_is_not_padded() -> None:
    origin = ScriptedOrigin({"/shared": [a_list()]})
    async with origin, gateway_before(origin, PADDED) as world:
        replies = [
            await world.get(f"/shared?guess={number}", accept_encoding="br") for number in range(4)
        ]

    assert len({len(reply.body) for reply in replies}) == 1
