"""tRPC batches: as public as the most private member, as short-lived as the shortest."""

from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.world import gateway_before

RULES = """
version: 1
identity: {user: {cookie: session_token}}
routes:
  - {name: secret, match: {path: /api/trpc/auth.*}, cache: off}
  - name: quick
    protocol: trpc
    match: {path: /api/trpc/news.latest}
    cache: {ttl: 60s, scope: public}
  - name: slow
    protocol: trpc
    match: {path: /api/trpc/news.archive}
    cache: {ttl: 5m, scope: public}
  - name: mine
    protocol: trpc
    match: {path: /api/trpc/user.settings}
    cache: {ttl: 5m, scope: user}
"""
FOLDER = "/api/trpc"


def origin_of(*batches: str) -> ScriptedOrigin:
    return ScriptedOrigin({f"{FOLDER}/{batch}": [ok(b"[]")] for batch in batches})


async def test_a_batch_lives_as_short_as_its_shortest_member() -> None:
    batch = "news.latest,news.archive"
    async with origin_of(batch) as origin, gateway_before(origin, RULES) as world:
        target = f"{FOLDER}/{batch}?batch=1&input=%7B%7D"
        words = [(await world.get(target)).word for _ in range(2)]
        world.pass_time(61)
        late = await world.get(target)

        assert words == ["MISS", "HIT"]
        assert late.word != "HIT"
        assert world.counters.requests["trpc-batch", "HIT", 2] == 1


async def test_a_batch_with_a_member_that_is_off_is_off() -> None:
    batch = "news.latest,auth.session"
    async with origin_of(batch) as origin, gateway_before(origin, RULES) as world:
        words = [(await world.get(f"{FOLDER}/{batch}?batch=1")).word for _ in range(2)]

        assert words == ["BYPASS", "BYPASS"]


async def test_a_batch_with_a_member_of_one_user_is_that_users() -> None:
    batch = "news.latest,user.settings"
    async with origin_of(batch) as origin, gateway_before(origin, RULES) as world:
        target = f"{FOLDER}/{batch}?batch=1"
        ada = [(await world.get(target, cookie="session_token=ada")).word for _ in range(2)]
        ben = await world.get(target, cookie="session_token=ben")
        nobody = await world.get(target)

        assert ada == ["MISS", "HIT"]
        assert (ben.word, nobody.word) == ("MISS", "BYPASS")


async def test_without_batch_in_the_query_a_comma_is_a_character() -> None:
    batch = "news.latest,news.archive"
    async with origin_of(batch) as origin, gateway_before(origin, RULES) as world:
        words = [(await world.get(f"{FOLDER}/{batch}")).word for _ in range(2)]

        assert words == ["BYPASS", "BYPASS"]


async def test_a_member_cannot_be_smuggled_past_its_route_by_an_encoded_comma() -> None:
    encoded = "news.latest%2Cauth.session"
    async with origin_of(encoded) as origin, gateway_before(origin, RULES) as world:
        words = [(await world.get(f"{FOLDER}/{encoded}?batch=1")).word for _ in range(2)]

        assert words == ["BYPASS", "BYPASS"]
