"""Who may share what: no identity ever gets another's bytes."""

import asyncio
import json
import random
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.doubles.client import Reply
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import Clock, World, gateway_before

RULES = """
version: 1
identity:
  user: {cookie: session_token}
  org: {jwt_claim: org_id, cookie: org_token, keys: keys.json}
routes:
  - {name: mine, match: {path: /mine/*}, cache: {ttl: 60s, scope: user}}
  - {name: ours, match: {path: /ours/*}, cache: {ttl: 60s, scope: org}}
  - {name: all, match: {path: /*}, cache: {ttl: 60s, scope: public}}
"""

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def keys(directory: Path) -> None:
    public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key()))
    document = {"keys": [{**public, "kid": "1", "alg": "EdDSA", "use": "sig"}]}
    (directory / "keys.json").write_text(json.dumps(document))


def token(org: str, *, key: Ed25519PrivateKey = KEY, lifetime: float = 3600) -> str:
    claims = {"org_id": org, "exp": int(Clock().now + lifetime)}
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "1"})


async def whose(heard: Heard, wire: Wire) -> None:
    """Answer with what the request proved, as the hub would."""
    await wire.send(ok((heard.get("cookie") or "nobody").encode()))


@pytest.fixture
def origin() -> ScriptedOrigin:
    return ScriptedOrigin({path: [whose] for path in ("/mine/a", "/ours/a", "/a")})


async def asked(world: World, target: str, cookie: str) -> Reply:
    return await world.get(target, cookie=cookie) if cookie else await world.get(target)


async def test_each_user_gets_what_was_made_for_that_user(origin: ScriptedOrigin) -> None:
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        for _ in range(3):
            for user in ("ada", "ben"):
                cookie = f"session_token={user}"
                assert (await asked(world, "/mine/a", cookie)).body == cookie.encode()

        assert len(origin.heard) == 2
        reply = await asked(world, "/mine/a", "session_token=ada")
        assert reply.word == "HIT"
        assert reply.get("cache-control") == "private, no-cache"


async def test_without_a_session_nothing_is_kept_for_a_user(origin: ScriptedOrigin) -> None:
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        words = [(await asked(world, "/mine/a", "")).word for _ in range(3)]

        assert words == ["BYPASS"] * 3
        assert world.gateway.site.memory.objects == 0


async def test_members_of_one_organisation_share_and_others_do_not(origin: ScriptedOrigin) -> None:
    acme, globex = token("acme"), token("globex")
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        first = await asked(world, "/ours/a", f"session_token=ada; org_token={acme}")
        second = await asked(world, "/ours/a", f"session_token=ben; org_token={acme}")
        third = await asked(world, "/ours/a", f"session_token=cleo; org_token={globex}")

        assert (first.word, second.word, third.word) == ("MISS", "HIT", "MISS")
        assert second.body == first.body
        assert globex.encode() in third.body


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "org_token=acme",
        "org_token=" + token("acme", key=STRANGER),
        "org_token=" + token("acme", lifetime=-1),
        "org_token=" + token("acme") + "x",
        "org_token=" + jwt.encode({"org_id": "acme", "exp": 4e9}, "", algorithm="none"),
        f"org_token={token('acme')}; org_token={token('acme')}",
    ],
    ids=["none", "no token", "another's key", "expired", "damaged", "unsigned", "twice"],
)
async def test_what_proves_nothing_shares_nothing(origin: ScriptedOrigin, cookie: str) -> None:
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        await asked(world, "/ours/a", f"org_token={token('acme')}")
        reply = await asked(world, "/ours/a", cookie)

        assert reply.word == "BYPASS"
        assert reply.body == (cookie or "nobody").encode()
        assert len(origin.heard) == 2


async def test_a_token_that_expires_stops_hits_on_the_very_same_head(
    origin: ScriptedOrigin,
) -> None:
    cookie = f"org_token={token('acme', lifetime=30)}"
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        client = await world.connect()
        words = [(await client.get("/ours/a", cookie=cookie)).word for _ in range(5)]
        world.pass_time(31)
        after = await client.get("/ours/a", cookie=cookie)

        assert words == ["MISS", "HIT", "HIT", "HIT", "HIT"]
        assert after.word == "BYPASS"


async def test_a_public_object_is_made_for_nobody(origin: ScriptedOrigin) -> None:
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        first = await world.get("/a", cookie="session_token=ada", authorization="Bearer x")
        second = await world.get("/a", cookie="session_token=ben")

        assert (first.word, first.body) == ("MISS", b"nobody")
        assert (second.word, second.body) == ("HIT", b"nobody")
        assert origin.heard[0].get("authorization") is None
        assert "CDN-Cache-Control" in [name for name, _ in first.fields]


async def test_what_sets_a_cookie_is_not_shared() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"one", set_cookie="id=1")]})
    async with origin, gateway_before(origin, RULES, files=keys) as world:
        replies = [await world.get("/a") for _ in range(2)]

        assert [reply.word for reply in replies] == ["PASS", "PASS"]
        assert [reply.get("set-cookie") for reply in replies] == ["id=1", "id=1"]


async def test_nobody_gets_anothers_bytes_while_all_ask_at_once(origin: ScriptedOrigin) -> None:
    chance = random.Random(9)
    users = [f"session_token=u{number}; org_token={token(f'o{number % 3}')}" for number in range(9)]

    async with origin, gateway_before(origin, RULES, files=keys) as world:

        async def one_user(cookie: str) -> None:
            client = await world.connect()
            for _ in range(60):
                target = chance.choice(["/mine/a", "/ours/a", "/a"])
                reply = await client.get(target, cookie=cookie)
                org = cookie.partition("org_token=")[2]
                if target == "/mine/a":
                    assert reply.body == cookie.encode()
                elif target == "/ours/a":
                    assert reply.body.endswith(f"org_token={org}".encode())
                else:
                    assert reply.body == b"nobody"
                if chance.random() < 0.1:
                    world.pass_time(31)
                if chance.random() < 0.1:
                    world.gateway.site.memory.clear()

        async with asyncio.timeout(30):
            await asyncio.gather(*(one_user(cookie) for cookie in users))
