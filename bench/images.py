"""What renditions of pictures cost and save: `python -m bench.images`.

Photos, charts, screenshots and animations are made up, the same each time. Each becomes AVIF
and WebP at the quality and effort that the rules have when they say nothing, at other
efforts, and as wide as a phone's screen. Then hits through a gateway in this process, while
nothing is made and while a large picture is.
"""

import asyncio
import random
import time
from collections.abc import Mapping

import uvloop
from PIL import Image, ImageDraw

from gateway.edge.render import Order, render
from gateway.policy.images import QUALITIES, Images
from tests.doubles.client import RawClient
from tests.doubles.origin import ScriptedOrigin, response
from tests.doubles.pictures import animation, chart, encoded, jpeg, photo
from tests.doubles.world import gateway_before

RULES = """\
version: 1
routes:
  - name: pictures
    match: {path: /images/*}
    cache: {ttl: 1h, scope: public}
    images: {effort: 8}
"""
ACCEPT = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
_HITS = 10_000
_PHONE = 640


def screenshot(width: int = 1440, height: int = 900) -> Image.Image:
    """Return what a dashboard looks like: panels, lines of text, a chart."""
    chance = random.Random(3)
    image = Image.new("RGB", (width, height), "#f6f8fa")
    draw = ImageDraw.Draw(image)
    for x in range(16, width - 200, 240):
        draw.rounded_rectangle((x, 16, x + 224, 120), 8, fill="#ffffff", outline="#d0d7de")
        draw.text((x + 16, 32), f"{chance.randrange(99_999):,}", fill="#1f2328", font_size=28)
    for y in range(560, height - 20, 18):
        words = " ".join(
            "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9)))
            for _ in range(18)
        )
        draw.text((24, y), words, fill="#1f2328")
    image.paste(chart(width - 48, 400), (24, 140))
    return image


def sources() -> Mapping[str, bytes]:
    """Return what is measured, by name."""
    return {
        "photo 1600x1000, JPEG 85": jpeg(photo(1600, 1000), quality=85),
        "photo 3000x2000, JPEG 92": jpeg(photo(3000, 2000, seed=5), quality=92),
        "photo 1200x800, PNG": encoded(photo(1200, 800, seed=6), "PNG"),
        "chart 1200x600, PNG": encoded(chart(1200, 600), "PNG", optimize=True),
        "screenshot 1440x900, PNG": encoded(screenshot(), "PNG", optimize=True),
        "animation 160x100, 12 frames, GIF": animation(12),
    }


def one(source: bytes, form: str, effort: int, width: int = 0) -> str:
    """Return how much smaller a rendition is and how long it took, as a cell of a table."""
    order = Order(source, form, width, QUALITIES.of(form), effort, 0, True, Images().max_pixels)
    rendered = render(order)
    if not rendered.body:
        return f"the source ({rendered.why})"
    saved = 100 - 100 * len(rendered.body) / len(source)
    return f"{len(rendered.body) / 1000:.1f} KB, -{saved:.0f}%, {rendered.seconds:.2f} s"


def table() -> None:
    """Print what each source becomes."""
    standard = Images().effort
    columns = [
        ("AVIF", "avif", standard, 0),
        ("AVIF, effort 2", "avif", 2, 0),
        ("AVIF, effort 6", "avif", 6, 0),
        ("WebP", "webp", standard, 0),
        (f"AVIF, {_PHONE} wide", "avif", standard, _PHONE),
        (f"WebP, {_PHONE} wide", "webp", standard, _PHONE),
    ]
    print("| source | bytes |", " | ".join(name for name, *_ in columns), "|")
    print("| --- | ---: |", " | ".join("---" for _ in columns), "|")
    for name, source in sources().items():
        cells = [one(source, form, effort, width) for _, form, effort, width in columns]
        print(f"| {name} | {len(source) / 1000:.1f} KB |", " | ".join(cells), "|", flush=True)


async def _hits(client: RawClient, path: str) -> list[float]:
    times = []
    for _ in range(_HITS):
        began = time.perf_counter()
        await client.get(path, accept=ACCEPT)
        times.append(1e6 * (time.perf_counter() - began))
    return sorted(times)


async def beside() -> None:
    """Print the latency of hits while nothing is made, and while a large picture is."""
    answer = response(body=jpeg(), content_type="image/jpeg", etag='"v1"')
    large = response(body=jpeg(photo(3000, 2000)), content_type="image/jpeg", etag='"v1"')
    origin = ScriptedOrigin({"/images/a": [answer], "*": [large]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        kind = None
        while kind != "image/avif":
            await asyncio.sleep(0.05)
            kind = (await client.get("/images/a", accept=ACCEPT)).get("content-type")
        quiet = await _hits(client, "/images/a")
        for number in range(8):
            await world.get(f"/images/large-{number}", accept=ACCEPT)
        busy = await _hits(client, "/images/a")
        made = world.gateway.reading().rendered
    for name, times in (("while nothing is made", quiet), ("while pictures are made", busy)):
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        print(f"hits {name}: p50 {p50:.0f} us, p99 {p99:.0f} us")
    print(f"ratio of p99: {busy[_HITS * 99 // 100] / quiet[_HITS * 99 // 100]:.2f}; {made}")


if __name__ == "__main__":
    table()
    print()
    uvloop.run(beside())
