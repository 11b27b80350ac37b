"""A hundred thousand users of the dashboard: browsing, calling the API, and listening.

    k9 run loadtest/dashboard.py -e PROFILE=smoke -e BASE=http://127.0.0.1:8080

PROFILE is full, laptop or smoke; SCALE multiplies the number of users; OUT is the folder for
the summary. `python -m loadtest run dashboard` does the same with a report. The numbers are in
`profiles.json`, the same test for k6 in `k6/dashboard.js`.
"""

import asyncio
import random
import re
import sys
import time
from pathlib import Path

# k9 puts this folder on the path, not the one above it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import k9

from loadtest.asking import Client, Data, Metrics, Person, draw, log_in, person, think_time
from loadtest.definition import definition, options_for
from loadtest.live import listen_to_events, listen_to_socket
from loadtest.settings import Settings
from loadtest.summary import files

settings = Settings.read(k9.env)
numbers = definition()
options = options_for("dashboard", settings.profile, settings.scale)
visit = numbers.profile("dashboard", settings.profile).seconds_a_visit
client = Client(settings.base, Metrics(numbers))

_ASSET = re.compile(rb"""["'](/(?:_next/static|images|fonts)/[^"'\s]+)["']""")


async def setup() -> Data:
    """Log everybody in."""
    return await log_in(settings.base)


async def browsing(data: Data) -> None:
    """Look at a few pages, each with what its scripts ask for."""
    who = person(data)
    missing_assets = random.random() < numbers.first_visit_share
    for _ in range(numbers.pages_a_visit):
        await _load_page(who, with_assets=missing_assets)
        missing_assets = False
        await k9.sleep(think_time(visit, numbers.pages_a_visit))


async def _load_page(who: Person, *, with_assets: bool) -> None:
    page = draw(numbers.pages)
    begun = time.perf_counter()
    document = await client.get(
        page.path, page.name, who, lambda response: b"</html>" in response.body
    )
    # A browser asks for all of these at once, when it has read the page.
    then = [client.get(path, path, who) for path in page.also]
    if page.batch:
        then.append(client.batch(page.batch, who))
    if with_assets:
        assets = sorted({found.decode() for found in _ASSET.findall(document.body)})
        then += [client.get(path, "asset", None) for path in assets]
    await asyncio.gather(*then)
    client.metrics.trend("page_load_time", (time.perf_counter() - begun) * 1000)


async def api(data: Data) -> None:
    """Call the API a few times, as scripts and integrations do."""
    who = person(data)
    for _ in range(numbers.calls_a_visit):
        call = draw(numbers.calls)
        if call.write:
            await client.rename(who)
        elif call.batch:
            await client.batch(call.batch, who)
        else:
            await client.get(call.path, call.path, None if call.anonymous else who)
        await k9.sleep(think_time(visit, numbers.calls_a_visit))


async def realtime(data: Data) -> None:
    """Hold a connection open for the visit and hear what changes."""
    who = person(data)
    seconds = think_time(visit, 1)
    if random.random() < numbers.sse_share:
        await listen_to_events(client, who, seconds)
    else:
        await listen_to_socket(client, who, seconds)


def handle_summary(data: dict[str, object]) -> dict[str, str]:
    """Say what was measured: on the terminal, as JSON and as a page."""
    return files("dashboard", data, settings.out, k9.text_summary())
