"""Renditions outlive the gateway that made them, and their maker ends with it."""

import asyncio
import time
from pathlib import Path

import psutil

from tests.doubles.client import RawClient, Reply
from tests.doubles.origin import Answer, ScriptedOrigin, response
from tests.doubles.pictures import jpeg
from tests.doubles.serving import Serving
from tests.end_to_end.real import gateway_process
from tests.end_to_end.replicas import filled

RULES = """\
version: 1
tiers:
  memory: {size: 32MB}
  local: {size: 32MB}
routes:
  - name: pictures
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
    images: {effort: 1}
"""
PATIENCE = 30.0


async def asked(gateway: Serving, target: str) -> Reply:
    client = await RawClient.connect(gateway.listen)
    try:
        return await client.get(target, accept="image/avif,*/*")
    finally:
        client.close()


async def rendered(gateway: Serving, target: str = "/a") -> Reply:
    end = time.monotonic() + PATIENCE
    while (reply := await asked(gateway, target)).get("content-type") != "image/avif":
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    return reply


def makers(gateway: Serving) -> list[psutil.Process]:
    family = psutil.Process(gateway.process.pid).children(recursive=True)
    return [each for each in family if "gateway.edge.render" in each.cmdline()]


async def test_a_rendition_is_there_again_after_a_restart(tmp_path: Path) -> None:
    answer = response(body=jpeg(), content_type="image/jpeg", etag='"v1"')
    async with ScriptedOrigin({"/a": [answer]}) as origin:
        async with gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
            before = await rendered(gateway)
            (maker,) = makers(gateway)
            assert maker.nice() == 19
            gateway.process.terminate()
            await gateway.ended()
            assert not maker.is_running() or maker.status() == psutil.STATUS_ZOMBIE
        async with gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
            after = await asked(gateway, "/a")
            assert makers(gateway) == []
            gateway.process.terminate()
            await gateway.ended()

    assert (after.word, after.body) == ("HIT", before.body)
    assert after.get("etag") == before.get("etag")
    assert len(origin.heard) == 1


async def test_workers_use_what_one_of_them_has_made(tmp_path: Path) -> None:
    answer = response(body=jpeg(), content_type="image/jpeg", etag='"v1"')
    async with (
        ScriptedOrigin({"/a": [answer]}) as origin,
        gateway_process(tmp_path, origin, workers=2, rules_text=RULES) as gateway,
    ):
        await filled(gateway)
        await rendered(gateway)
        for _ in range(40):
            assert (await asked(gateway, "/a")).status == 200
        end = time.monotonic() + PATIENCE
        # A worker that began on its own before the other was done may be at it still.
        while {(await asked(gateway, "/a")).get("content-type") for _ in range(12)} != {
            "image/avif"
        }:
            assert time.monotonic() < end
        assert len({(await asked(gateway, "/a")).get("etag") for _ in range(12)}) == 1
        gateway.process.terminate()
        await gateway.ended()

    assert len(origin.heard) == 1


async def test_a_maker_that_dies_is_replaced_and_its_worker_goes_on(tmp_path: Path) -> None:
    pictures: dict[str, list[Answer]] = {
        path: [response(body=jpeg(), content_type="image/jpeg")] for path in ("/a", "/b")
    }
    async with (
        ScriptedOrigin(pictures) as origin,
        gateway_process(tmp_path, origin, rules_text=RULES) as gateway,
    ):
        await rendered(gateway)
        (maker,) = makers(gateway)
        maker.kill()
        maker.wait(PATIENCE)
        assert (await rendered(gateway, "/b")).status == 200
        (another,) = makers(gateway)
        gateway.process.terminate()
        await gateway.ended()

    assert another.pid != maker.pid
