"""Rules in several files, one of which changes while the gateway serves."""

import asyncio
import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import PATIENCE, get
from tests.end_to_end.real import connect, gateway_process

RULES = "version: 1\ninclude: more/pages.yaml\n"


def pages(body: str) -> str:
    return f"routes:\n  - {{name: pages, match: {{path: /*}}, respond: {{body: {body}}}}}\n"


async def test_a_change_in_an_included_file_comes_into_force(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    file = tmp_path / "more" / "pages.yaml"
    file.write_text(pages("one"))
    origin = ScriptedOrigin({})
    async with origin, gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
        client = await connect(gateway)
        before = (await client.get("/a")).body
        file.write_text(pages("two"))
        after = before
        async with asyncio.timeout(PATIENCE):
            while after == before:
                await asyncio.sleep(0.05)
                after = (await client.get("/a")).body
        client.close()

    assert (before, after) == (b"one", b"two")


async def test_a_mistake_in_a_file_that_is_included_for_the_first_time_can_be_mended_there(
    tmp_path: Path,
) -> None:
    origin = ScriptedOrigin({})
    first = pages("one")
    rules = f"version: 1\n{first}"
    async with origin, gateway_process(tmp_path, origin, rules_text=rules) as gateway:
        (tmp_path / "new.yaml").write_text(pages("two").replace("respond", "repsond"))
        (tmp_path / "rules.yaml").write_text("version: 1\ninclude: new.yaml\n")
        said = ""
        async with asyncio.timeout(PATIENCE):
            while "new.yaml:2:" not in said:
                await asyncio.sleep(0.05)
                said = (await get(gateway.admin, "/readyz")).body
        (tmp_path / "new.yaml").write_text(pages("two"))
        body = b""
        async with asyncio.timeout(PATIENCE):
            while body != b"two":
                await asyncio.sleep(0.05)
                client = await connect(gateway)
                body = (await client.get("/a")).body
                client.close()


KEYED = """\
version: 1
identity:
  org: {jwt_claim: org_id, cookie: org_token, keys: keys/jwks.json}
routes:
  - {name: lists, match: {path: /*}, cache: {ttl: 1h, scope: org}}
"""


def key_set(*keys: tuple[str, Ed25519PrivateKey]) -> str:
    public = [
        {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())), "kid": name}
        for name, key in keys
    ]
    return json.dumps({"keys": public})


def signed(name: str, key: Ed25519PrivateKey) -> str:
    claims = {"org_id": "a", "exp": int(time.time()) + 3600}
    return "org_token=" + jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": name})


async def test_keys_that_are_rotated_are_known_at_once_and_nothing_stored_is_lost(
    tmp_path: Path,
) -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "jwks.json").write_text(key_set(("old", old)))
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    async with origin, gateway_process(tmp_path, origin, rules_text=KEYED) as gateway:
        client = await connect(gateway)
        by_old = [await client.get("/a", cookie=signed("old", old)) for _ in range(2)]
        unknown = await client.get("/a", cookie=signed("new", new))
        (tmp_path / "keys" / "jwks.json").write_text(key_set(("old", old), ("new", new)))
        known = unknown
        async with asyncio.timeout(PATIENCE):
            while known.word == "BYPASS":
                await asyncio.sleep(0.05)
                known = await client.get("/a", cookie=signed("new", new))
        still = await client.get("/a", cookie=signed("old", old))
        client.close()

    assert [reply.word for reply in by_old] == ["MISS", "HIT"]
    assert unknown.word == "BYPASS"
    assert (known.word, still.word) == ("HIT", "HIT")
