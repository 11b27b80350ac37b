"""A replay foretells what a gateway does with the same requests."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.build import load
from gateway.control.access_log import AccessLogFile
from gateway.counters import Counters
from gateway.replay.reading import Log, opened
from gateway.replay.replaying import Replayed, replay
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import gateway_before
from tests.edge.test_identity import keys, token

HEAD = """
version: 1
identity:
  user: {cookie: session_token}
  org: {jwt_claim: org_id, cookie: org_token, keys: keys.json}
tiers: {memory: {size: %s}}
"""
OLD = """
routes:
  - {name: account, match: {path: /account/*}, cache: off}
  - {name: files, match: {path: /files/*}, cache: {ttl: 10m, scope: public}}
  - {name: blog, match: {path: /blog/*},
     cache: {ttl: 60s, stale_while_revalidate: 30s, scope: public, key: {query: {ignore: [utm_*]}}}}
  - {name: lists, match: {path: /api/lists/*}, cache: {ttl: 2m, scope: org}}
  - {name: mine, match: {path: /api/mine/*}, cache: {ttl: 2m, scope: user}}
  - {name: origin-says, match: {path: /origin/*}, cache: {scope: public}}
  - {name: regional, match: {path: /regional/*},
     cache: {ttl: 5m, scope: public, key: {headers: [X-Region]}}}
"""
NEW = """
routes:
  - {name: account, match: {path: /account/*}, cache: off}
  - {name: files, match: {path: /files/*}, cache: {ttl: 1m, scope: public}}
  - {name: blog, match: {path: /blog/*}, cache: {ttl: 20m, scope: public}}
  - {name: lists, match: {path: /api/lists/*}, cache: {ttl: 10m, scope: public}}
  - {name: mine, match: {path: /api/mine/*}, cache: {ttl: 30s, scope: user}}
  - {name: origin-says, match: {path: /origin/*}, cache: {ttl: 5m, scope: public}}
  - {name: regional, match: {path: /regional/*}, cache: off}
"""
REQUESTS = 4000


def rules(routes: str, size: str = "64MB") -> str:
    return HEAD % size + routes


class Hub(ScriptedOrigin):
    """Answers anything; what it says about caching hangs on the path."""

    def __init__(self) -> None:
        async def answer(heard: Heard, wire: Wire) -> None:
            target = heard.line.split(" ")[1]
            number = sum(map(ord, target))
            body = b"x" * (500 + 37 * (number % 90))
            if target.startswith("/origin/"):
                tag = f'"{number}"'
                if number % 5 == 0:
                    await wire.send(ok(body, cache_control="no-store"))
                elif heard.get("if-none-match") == tag:
                    await wire.send(response("304 Not Modified", etag=tag))
                else:
                    control = f"max-age={30 + number % 90}"
                    await wire.send(ok(body, cache_control=control, etag=tag))
            elif number % 23 == 0:
                await wire.send(response("404 Not Found", b"nothing"))
            else:
                await wire.send(ok(body))

        super().__init__({"*": [answer]})


def traffic(seed: int) -> Iterator[tuple[float, str, str, dict[str, str]]]:
    """Yield pauses, methods, targets and fields, skewed as traffic is."""
    chance = random.Random(seed)
    kinds = [
        "/files/",
        "/blog/",
        "/api/lists/",
        "/api/mine/",
        "/account/",
        "/origin/",
        "/regional/",
    ]
    tokens = {name: token(name) for name in ("a", "b", "c")}
    for _ in range(REQUESTS):
        kind = chance.choices(kinds, [4, 6, 4, 3, 1, 3, 2])[0]
        target = f"{kind}{int(chance.paretovariate(0.7)) % 300}"
        if chance.random() < 0.1:
            target += f"?utm_source={chance.randrange(5)}"
        fields = {}
        if chance.random() < 0.7:
            org = chance.choices(["a", "b", "c"], [5, 3, 1])[0]
            fields["cookie"] = f"org_token={tokens[org]}; session_token=s{chance.randrange(6)}"
        if chance.random() < 0.05:
            fields["cache_control"] = "no-cache"
        fields["x_region"] = chance.choice(["east", "west"])
        yield chance.expovariate(5.0), "GET", target, fields


async def measured(text: str, log: Path, seed: int = 5) -> Counter[tuple[str, str]]:
    """Return what became of the traffic at a real gateway with the rules *text*."""
    access_log = AccessLogFile(str(log), Counters())
    hub = Hub()
    async with hub, gateway_before(hub, text, access_log=access_log, files=keys) as world:
        client = await world.connect()
        for pause, method, target, fields in traffic(seed):
            world.pass_time(pause)
            await client.get(target, method, **fields)
        world.gateway.site.heads.fold()
    await access_log.close()
    found: Counter[tuple[str, str]] = Counter()
    for (route, word, _), count in world.counters.requests.items():
        found[route, word] += count
    return found


def foretold(old: str, new: str, log: Path, tmp_path: Path) -> Replayed:
    keys(tmp_path)
    snapshots = []
    for name, text in (("old.yaml", old), ("new.yaml", new)):
        (tmp_path / name).write_text(text)
        snapshots.append(load(tmp_path / name, {}, "http://127.0.0.1:1"))
    with opened(str(log)) as lines:
        return replay(snapshots[0], snapshots[1], Log(str(log)), lines)


SERVED = {"HIT", "STALE", "UPDATING", "REVALIDATED"}


def rate(words: Counter[tuple[str, str]], route: str | None = None) -> float:
    some = {key: count for key, count in words.items() if route in (None, key[0])}
    return sum(count for (_, word), count in some.items() if word in SERVED) / sum(some.values())


@pytest.mark.parametrize("size", ["64MB", "300KB"])
async def test_the_foretold_hit_rates_are_those_that_gateways_then_measure(
    tmp_path: Path, size: str
) -> None:
    log = tmp_path / "access.log"
    before = await measured(rules(OLD, size), log)
    after = await measured(rules(NEW, size), tmp_path / "other.log")

    replayed = foretold(rules(OLD, size), rules(NEW, size), log, tmp_path)

    old, new = replayed.before.result, replayed.after.result
    assert (old.requests, new.requests) == (REQUESTS, REQUESTS)
    assert replayed.measured_hit_rate == pytest.approx(rate(before), abs=0.001)
    assert old.hit_rate == pytest.approx(rate(before), abs=0.02)
    assert new.hit_rate == pytest.approx(rate(after), abs=0.02)
    for side, truth in ((old, before), (new, after)):
        for name, result in side.routes.items():
            assert result.hits / result.requests == pytest.approx(rate(truth, name), abs=0.02), name
    evicted = size == "300KB"
    assert (replayed.before.site.memory.evictions > 0) is evicted
    assert old.most_bytes <= replayed.before.site.memory.limit_bytes


async def test_answers_that_would_reach_somebody_else_are_counted_and_shown(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    await measured(rules(OLD), log)

    replayed = foretold(rules(OLD), rules(NEW), log, tmp_path)

    assert {sample.route for sample in replayed.before.result.crossing_samples} == {"regional"}
    assert replayed.after.result.crossings > 100
    for sample in replayed.after.result.crossing_samples:
        assert sample.route == "lists"
        assert sample.fetched_for != sample.delivered_to
    same = foretold(rules(OLD), rules(OLD), log, tmp_path)
    assert same.after.result.crossings == 0


async def test_the_log_holds_no_credential(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    await measured(rules(OLD), log)
    text = log.read_text()

    assert "session_token" not in text
    assert "eyJ" not in text
    assert {json.loads(line).get("org") for line in text.splitlines()} == {None, "a", "b", "c"}
