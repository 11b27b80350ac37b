"""Workers and origins die, rules change, things are purged; no client gets what isn't theirs."""

import asyncio
import random
import signal
import time
from pathlib import Path

from tests.doubles.serving import PATIENCE, accepting_again
from tests.scenarios import content
from tests.scenarios.history import Changed, History, Outcome, Purged, faults, lost
from tests.scenarios.load import Crowd
from tests.scenarios.world import LIFETIMES, LONGEST_STALE, Site, hard_purge, kill, site

SECONDS = 6.0
ENOUGH = {
    "workers killed": 3,
    "origins killed": 3,
    "hard purges": 20,
    "soft purges": 2,
    "rules reloaded": 3,
    "rules refused": 1,
}
"""What has to have happened at the end, however slow the machine is."""
ANSWERS = 1000
MOST_SECONDS = 60.0
CLIENTS = 24
WORKERS = 3
SEED = 7
"""What is done and asked follows from it; when it meets what, doesn't."""


class Chaos:
    """What is done to a site until time is up, each thing at its own pace."""

    def __init__(self, at: Site, history: History, chance: random.Random) -> None:
        self._site = at
        self._history = history
        self._chance = chance
        self._end = time.monotonic() + SECONDS

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for act in (
                self._kill_workers,
                self._kill_origins,
                self._change,
                self._purge,
                self._reload,
            ):
                tasks.create_task(act())

    def _goes_on(self) -> bool:
        acts, words = self._history.acts, set(self._history.words())
        return (
            time.monotonic() < self._end
            or any(acts[name] < least for name, least in ENOUGH.items())
            or len(self._history.asked) < ANSWERS
            or not {"HIT", "MISS", "STALE", "BYPASS", "REVALIDATED"} <= words
        )

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * (0.5 + self._chance.random()))

    async def _kill_workers(self) -> None:
        while self._goes_on():
            await self._pause(1.2)
            pids = await self._site.worker_pids()
            if len(pids) > 1:
                await kill(self._chance.choice(pids), signal.SIGKILL)
                self._history.acts["workers killed"] += 1

    async def _kill_origins(self) -> None:
        while self._goes_on():
            await self._pause(1.5)
            both = self._chance.random() < 0.3
            victims = self._site.origins if both else [self._chance.choice(self._site.origins)]
            for origin in victims:
                await origin.kill()
                self._history.acts["origins killed"] += 1
            await self._pause(0.3)
            for origin in victims:
                await origin.begin()

    def _renew(self, key: str) -> int:
        version = self._site.versions.next(key)
        self._history.changed.append(Changed(time.monotonic(), key, version))
        return version

    async def _change(self) -> None:
        while self._goes_on():
            await self._pause(0.05)
            self._renew(self._chance.choice(content.KEYS))

    async def _purge(self) -> None:
        while self._goes_on():
            await self._pause(0.15)
            key = self._chance.choice(content.KEYS)
            named, keys = hard_purge(self._chance.random(), [key])
            self._renew(key)
            oldest = {each: self._site.versions.now(each) for each in keys}
            while True:
                status, receipt = await self._site.post("/-/purge", named)
                if status == 200 and receipt["applied"] is True:
                    break
                # A worker that just died said nothing: whoever must be sure asks again.
                assert status == 202, receipt
            self._history.purged.append(Purged(time.monotonic(), oldest))
            self._history.acts["hard purges"] += 1
            if self._chance.random() < 0.3:
                await self._site.post("/-/purge", {"prefix": "/"})
                self._history.acts["soft purges"] += 1

    async def _reload(self) -> None:
        lifetimes = [*LIFETIMES, "5 minutes"]
        while self._goes_on():
            await self._pause(0.8)
            lifetime = self._chance.choice(lifetimes)
            self._site.write_rules(lifetime)
            status, _ = await self._site.post("/-/reload")
            assert status == (422 if lifetime not in LIFETIMES else 200)
            self._history.acts["rules reloaded" if status == 200 else "rules refused"] += 1


async def test_nobody_gets_a_wrong_answer_while_everything_dies_and_changes(
    tmp_path: Path,
) -> None:
    history = History()
    async with site(tmp_path, workers=WORKERS, calm=False) as at:
        crowd = Crowd(at.gateway.listen, at.askers, history, random.Random(SEED))
        clients = asyncio.create_task(crowd.run(CLIENTS))
        async with asyncio.timeout(MOST_SECONDS):
            await Chaos(at, history, random.Random(SEED)).run()
        crowd.stopped = True
        async with asyncio.timeout(PATIENCE):
            await clients
        at.write_rules(LIFETIMES[0])
        await at.post("/-/reload")
        await at.gateway.readiness_when(accepting_again(0, workers=WORKERS))
        after = History()
        calm = Crowd(at.gateway.listen, at.askers, after, random.Random(SEED + 1))
        await _for_a_moment(calm)
        uploads = at.uploads()

    assert faults(history, longest_stale=LONGEST_STALE) == [], history.told()
    # Uploads aren't repeated: none counts twice, and what was confirmed was taken.
    assert len(set(uploads)) == len(uploads)
    assert set(crowd.uploaded) <= set(uploads)
    # And when it is over, it is over.
    assert faults(after, longest_stale=LONGEST_STALE) == []
    assert after.outcomes()[Outcome.ANSWERED] > 0


async def _for_a_moment(crowd: Crowd) -> None:
    running = asyncio.create_task(crowd.run(4))
    await asyncio.sleep(0.5)
    crowd.stopped = True
    async with asyncio.timeout(PATIENCE):
        await running


async def test_workers_that_are_told_to_end_lose_no_request(tmp_path: Path) -> None:
    history = History()
    async with site(tmp_path, workers=2, calm=True) as at:
        # Most connections are new: what has just been accepted is what is lost most easily.
        crowd = Crowd(at.gateway.listen, at.askers, history, random.Random(SEED), keeps=0.3)
        clients = asyncio.create_task(crowd.run(CLIENTS))
        for restarts in range(1, 4):
            await asyncio.sleep(0.2)
            pids = await at.worker_pids()
            await kill(pids[restarts % len(pids)], signal.SIGTERM)
            await at.gateway.readiness_when(accepting_again(restarts))
        crowd.stopped = True
        async with asyncio.timeout(PATIENCE):
            await clients

    assert lost(history) == [], history.told()
    assert faults(history, longest_stale=LONGEST_STALE) == [], history.told()
    assert history.outcomes()[Outcome.REFUSED] == 0, history.told()
    assert history.outcomes()[Outcome.ANSWERED] > CLIENTS, history.told()


async def test_a_gateway_that_is_restarted_under_load_loses_no_request(tmp_path: Path) -> None:
    history = History()
    async with site(tmp_path, workers=2, calm=True) as at:
        # Most connections are new: what has just been accepted is what is lost most easily.
        crowd = Crowd(at.gateway.listen, at.askers, history, random.Random(SEED), keeps=0.3)
        clients = asyncio.create_task(crowd.run(CLIENTS))
        for _ in range(2):
            await asyncio.sleep(0.3)
            await at.restart_gateway()
            await at.worker_pids()
        await asyncio.sleep(0.3)
        crowd.stopped = True
        async with asyncio.timeout(PATIENCE):
            await clients
        uploads = at.uploads()

    # Between two gateways nobody listens: a connection is refused, and nothing was sent yet.
    assert lost(history) == [], history.told()
    assert faults(history, longest_stale=LONGEST_STALE) == [], history.told()
    assert sorted(set(crowd.uploaded)) == sorted(crowd.uploaded)
    assert set(crowd.uploaded) <= set(uploads)
    assert history.outcomes()[Outcome.ANSWERED] > CLIENTS, history.told()
