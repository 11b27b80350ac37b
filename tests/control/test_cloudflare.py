"""The CDN in front: purged in calls of the size it takes, patiently, and the token stays unsaid."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from gateway.control.cloudflare import CdnError, Cloudflare, Named
from tests.doubles.cloudflare import TOKEN, ZONE, FakeCloudflare, down, fake_cloudflare, too_soon


@dataclass(slots=True)
class Patience:
    """Sleeps without waiting."""

    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def fake() -> AsyncIterator[FakeCloudflare]:
    async with fake_cloudflare() as found:
        yield found


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
async def cdn(fake: FakeCloudflare, patience: Patience) -> AsyncIterator[Cloudflare]:
    async with aiohttp.ClientSession() as session:
        yield Cloudflare(session, ZONE, TOKEN, api=fake.api, sleep=patience, chance=lambda: 0.5)


async def test_many_urls_go_in_calls_of_a_hundred_each_once(
    cdn: Cloudflare, fake: FakeCloudflare
) -> None:
    urls = [f"https://hub.test/{number}" for number in range(250)]

    calls = await cdn.purge(Named.URLS, [*urls, urls[0]])

    assert calls == 3
    assert [len(call["files"]) for call in fake.calls] == [100, 100, 50]
    assert [url for call in fake.calls for url in call["files"]] == urls


@pytest.mark.parametrize("what", list(Named))
async def test_each_kind_is_named_as_the_api_wants_it(
    cdn: Cloudflare, fake: FakeCloudflare, what: Named
) -> None:
    await cdn.purge(what, ["one", "two"])

    assert fake.calls == [{what.value: ["one", "two"]}]


async def test_a_call_that_came_too_soon_is_repeated_when_the_cdn_says(
    cdn: Cloudflare, fake: FakeCloudflare, patience: Patience
) -> None:
    fake.troubles = [too_soon("7"), too_soon("3")]

    await cdn.purge(Named.TAGS, ["posts"])

    assert (patience.slept, fake.calls) == ([7.0, 3.0], [{"tags": ["posts"]}])


async def test_what_fails_for_the_moment_is_tried_again_with_growing_pauses(
    cdn: Cloudflare, fake: FakeCloudflare, patience: Patience
) -> None:
    fake.troubles = [down(), "break", down()]

    await cdn.purge_everything()

    assert fake.calls == [{"purge_everything": True}]
    assert patience.slept == sorted(patience.slept)
    assert patience.slept[0] > 0


async def test_patience_ends(cdn: Cloudflare, fake: FakeCloudflare) -> None:
    fake.troubles = [down() for _ in range(9)]

    with pytest.raises(CdnError, match="in 5 tries"):
        await cdn.purge(Named.TAGS, ["posts"])
    assert fake.tries == 5


async def test_a_cdn_that_wants_quiet_for_an_hour_is_left_alone(
    cdn: Cloudflare, fake: FakeCloudflare
) -> None:
    fake.troubles = [too_soon("3600")]

    with pytest.raises(CdnError, match="no call for 3600 seconds"):
        await cdn.purge(Named.TAGS, ["posts"])
    assert fake.tries == 1


async def test_what_is_refused_is_told_once_with_advice_and_without_the_token(
    fake: FakeCloudflare, patience: Patience, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "another-token-altogether"
    async with aiohttp.ClientSession() as session:
        cdn = Cloudflare(session, ZONE, wrong, api=fake.api, sleep=patience)
        with pytest.raises(CdnError) as refused:
            await cdn.purge(Named.TAGS, ["posts"])

    assert fake.tries == 1
    assert "CLOUDFLARE_API_TOKEN needs" in str(refused.value)
    assert "Invalid access token (the token)" in str(refused.value)
    assert wrong not in str(refused.value) + caplog.text


async def test_a_zone_that_isnt_there_is_an_error(fake: FakeCloudflare, patience: Patience) -> None:
    async with aiohttp.ClientSession() as session:
        cdn = Cloudflare(session, "0" * 32, TOKEN, api=fake.api, sleep=patience)
        with pytest.raises(CdnError, match=r"Could not route to the zone.*7003"):
            await cdn.purge_everything()
        with pytest.raises(CdnError, match="knows no zone"):
            await cdn.analytics(timedelta(hours=1))


async def test_analytics_are_summed_over_the_hours(cdn: Cloudflare, fake: FakeCloudflare) -> None:
    fake.groups = [
        {"requests": 100, "cachedRequests": 80, "bytes": 1000, "cachedBytes": 700},
        {"requests": 50, "cachedRequests": 10, "bytes": 500, "cachedBytes": 50},
    ]

    found = await cdn.analytics(timedelta(hours=2), datetime(2026, 11, 24, 12, tzinfo=UTC))

    assert (found.requests, found.cached_requests, found.bytes) == (150, 90, 1500)
    assert found.hit_rate == 0.6
    assert (fake.asked["since"], fake.asked["until"]) == (
        "2026-11-24T10:00:00Z",
        "2026-11-24T12:00:00Z",
    )


async def test_a_zone_without_traffic_has_no_hits(cdn: Cloudflare) -> None:
    assert (await cdn.analytics(timedelta(hours=2))).hit_rate == 0.0


async def command(fake: FakeCloudflare, *flags: str, **more: str) -> tuple[int, str, str]:
    environ = {"CLOUDFLARE_API": fake.api, "CLOUDFLARE_ZONE_ID": ZONE}
    environ |= {"CLOUDFLARE_API_TOKEN": TOKEN} | more
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "cdn", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in (os.environ | environ).items() if value},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    assert TOKEN not in out.decode() + err.decode()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_purges_and_tells(fake: FakeCloudflare) -> None:
    fake.groups = [{"requests": 4, "cachedRequests": 3, "bytes": 10, "cachedBytes": 5}]

    purged = await command(
        fake, "purge", "--url", "https://hub.test/a", "--tag", "posts", "--tag", "org:1"
    )
    stats = await command(fake, "stats", "--since", "7d", "--json")

    assert purged[:2] == (0, "purged 1 files, 2 tags in 2 calls\n")
    assert fake.calls == [{"files": ["https://hub.test/a"]}, {"tags": ["posts", "org:1"]}]
    assert json.loads(stats[1])["hit_rate"] == 0.75


@pytest.mark.parametrize(
    ("flags", "more", "complaint"),
    [
        pytest.param(["purge"], {}, "name something", id="nothing"),
        pytest.param(["purge", "--everything"], {}, "add --confirm everything", id="unconfirmed"),
        pytest.param(["purge", "--url", "/a"], {}, "give a whole URL", id="a-path"),
        pytest.param(
            ["purge", "--prefix", "https://a.test/x"], {}, "without a scheme", id="a-url-for-prefix"
        ),
        pytest.param(
            ["stats"],
            {"CLOUDFLARE_API_TOKEN": ""},
            "CLOUDFLARE_API_TOKEN is not set",
            id="no-token",
        ),
        pytest.param(
            ["stats"], {"CLOUDFLARE_API_TOKEN": "wrong-one"}, "refuses the token", id="wrong-token"
        ),
    ],
)
async def test_what_cannot_be_done_is_told_and_nothing_is_purged(
    fake: FakeCloudflare, flags: list[str], more: dict[str, str], complaint: str
) -> None:
    status, _, err = await command(fake, *flags, **more)

    assert status == 1
    assert complaint in err
    assert fake.calls == []


async def test_everything_is_purged_when_confirmed(fake: FakeCloudflare) -> None:
    status, out, _ = await command(fake, "purge", "--everything", "--confirm", "everything")

    assert (status, out) == (0, "purged everything in 1 call\n")
    assert fake.calls == [{"purge_everything": True}]
