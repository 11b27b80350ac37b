"""What becomes of a request, and how the answer says so."""

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import gateway_before

NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'


async def test_the_second_request_is_answered_from_memory() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        first = await world.get("/a")
        second = await world.get("/a")

        assert (first.word, first.body) == ("MISS", b"one")
        assert first.get("cache-status") == "gateway; fwd=uri-miss; fwd-status=200; stored; ttl=60"
        assert (second.word, second.body) == ("HIT", b"one")
        assert second.get("age") == "0"
        assert second.get("cache-status") == "gateway; hit; ttl=60"
        assert origin.lines() == ["GET /a HTTP/1.1"]


async def test_a_head_that_comes_again_and_again_is_answered_alike_each_time() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        client = await world.connect()
        replies = [await client.get("/a", cookie=f"visit={number % 3}") for number in range(12)]
        world.pass_time(7)
        later = [await client.get("/a") for _ in range(3)]

        assert [reply.word for reply in replies] == ["MISS"] + ["HIT"] * 11
        assert {reply.body for reply in replies} == {b"one"}
        assert [reply.get("age") for reply in later] == ["7", "7", "7"]
        assert [reply.get("cache-status") for reply in later] == ["gateway; hit; ttl=53"] * 3
        assert len(origin.heard) == 1
        world.gateway.reading()
        assert world.counters.requests["all", "HIT", 2] == 14
        assert world.counters.requests["all", "MISS", 2] == 1


async def test_what_may_not_be_stored_passes() -> None:
    async with (
        scripted_origin(a=ok(b"one", cache_control="no-store")) as origin,
        gateway_before(origin) as world,
    ):
        client = await world.connect()
        words = [(await client.get("/a")).word for _ in range(5)]

        assert words == ["PASS"] * 5
        assert len(origin.heard) == 5
        assert origin.connections == 1


async def test_a_repeated_pass_brings_each_answer_and_not_the_last_one() -> None:
    origin = ScriptedOrigin()
    origin.on(
        "/a",
        ok(b"one", cache_control="no-store"),
        ok(b"two", cache_control="no-store"),
        ok(b"three", cache_control="no-store"),
        response("403 Forbidden", b"four", cache_control="no-store"),
    )
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(5)]

        assert [reply.body for reply in replies] == [b"one", b"two", b"three", b"four", b"four"]
        assert [reply.status for reply in replies] == [200, 200, 200, 403, 403]
        assert {reply.get("x-cache") for reply in replies} == {"PASS"}


async def test_an_answer_that_could_be_shared_after_all_is_stored() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", ok(b"mine", cache_control="private"), ok(b"ours", max_age=60))
    async with origin, gateway_before(origin) as world:
        words = [(await world.get("/a")).word for _ in range(3)]

        assert words == ["PASS", "MISS", "HIT"]
        assert len(origin.heard) == 2


async def test_a_stale_response_is_validated_and_good_again() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", ok(b"one", max_age=60, etag='"1"'), NOT_MODIFIED)
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        validated = await world.get("/a")
        after = await world.get("/a")

        assert (validated.word, validated.status, validated.body) == ("REVALIDATED", 200, b"one")
        assert validated.get("cache-status") == "gateway; fwd=stale; fwd-status=304; stored; ttl=60"
        assert origin.heard[1].get("if-none-match") == '"1"'
        assert (after.word, after.body) == ("HIT", b"one")
        assert len(origin.heard) == 2


async def test_a_stale_response_gives_way_to_a_new_one() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", ok(b"one", max_age=60, etag='"1"'), ok(b"two", max_age=60, etag='"2"'))
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        expired = await world.get("/a")
        after = await world.get("/a")

        assert (expired.word, expired.body) == ("EXPIRED", b"two")
        assert (after.word, after.body) == ("HIT", b"two")


async def test_a_304_about_something_else_is_followed_by_an_unconditional_request() -> None:
    origin = ScriptedOrigin()
    strange = NOT_MODIFIED.replace(b'"1"', b'"9"')
    origin.on("/a", ok(b"one", max_age=60, etag='"1"'), strange, ok(b"two", max_age=60))
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        reply = await world.get("/a")

        assert (reply.status, reply.body) == (200, b"two")
        assert [heard.get("if-none-match") for heard in origin.heard] == [None, '"1"', None]


async def test_a_304_that_forbids_storing_is_obeyed() -> None:
    origin = ScriptedOrigin()
    forbidding = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: no-store\r\n\r\n'
    origin.on("/a", ok(b"one", max_age=60, etag='"1"'), forbidding, ok(b"two", max_age=60))
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        once = await world.get("/a")
        after = await world.get("/a")

        assert (once.status, once.body) == (200, b"one")
        assert (after.word, after.body) == ("MISS", b"two")


async def test_a_client_that_has_it_already_gets_304() -> None:
    answer = ok(b"one", max_age=60, etag='"1"', content_type="text/plain")
    async with scripted_origin(a=answer) as origin, gateway_before(origin) as world:
        await world.get("/a")
        client = await world.connect()
        replies = [await client.get("/a", if_none_match='"0", W/"1"') for _ in range(3)]
        other = await client.get("/a", if_none_match='"2"')

        for reply in replies:
            assert (reply.status, reply.word, reply.body) == (304, "HIT", b"")
            assert reply.get("etag") == '"1"'
            assert reply.get("content-length") is None
        assert (other.status, other.body) == (200, b"one")
        assert len(origin.heard) == 1


async def test_a_client_that_has_it_already_gets_304_from_a_miss_and_the_whole_is_stored() -> None:
    answer = ok(b"one", max_age=60, etag='"1"')
    async with scripted_origin(a=answer) as origin, gateway_before(origin) as world:
        first = await world.get("/a", if_none_match='"1"')
        second = await world.get("/a")

        assert (first.status, first.body) == (304, b"")
        assert origin.heard[0].get("if-none-match") is None
        assert (second.word, second.body) == ("HIT", b"one")


async def test_head_is_answered_from_what_get_left() -> None:
    answer = ok(b"12345", max_age=60)
    async with scripted_origin(a=answer) as origin, gateway_before(origin) as world:
        await world.get("/a")
        reply = await world.get("/a", "HEAD")

        assert (reply.status, reply.word, reply.get("content-length")) == (200, "HIT", "5")
        assert origin.lines() == ["GET /a HTTP/1.1"]


async def test_head_that_finds_nothing_is_forwarded_as_head_and_leaves_nothing() -> None:
    answer = ok(b"12345", max_age=60)
    async with scripted_origin(a=answer) as origin, gateway_before(origin) as world:
        client = await world.connect()
        reply = await client.get("/a", "HEAD")
        again = await client.get("/a", "HEAD")
        full = await client.get("/a")

        assert (reply.status, reply.get("content-length"), reply.body) == (200, "5", b"")
        assert again.word == "PASS"
        assert (full.word, full.body) == ("MISS", b"12345")
        assert [line.split()[0] for line in origin.lines()] == ["HEAD", "HEAD", "GET"]


async def test_head_tells_that_a_stale_response_has_changed() -> None:
    origin = ScriptedOrigin()
    origin.on(
        "/a",
        ok(b"one", max_age=60, etag='"1"'),
        ok(b"two!", max_age=60, etag='"2"'),
        ok(b"two!", max_age=60, etag='"2"'),
    )
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        await world.get("/a", "HEAD")
        reply = await world.get("/a")

        assert (reply.status, reply.body) == (200, b"two!")


async def test_variants_are_kept_apart_by_what_vary_nominates() -> None:
    async def in_their_language(heard: Heard, wire: Wire) -> None:
        language = heard.get("accept-language") or "none"
        await wire.send(ok(language.encode(), max_age=60, vary="Accept-Language"))

    async with scripted_origin(a=in_their_language) as origin, gateway_before(origin) as world:
        bodies = [
            (await world.get("/a", accept_language=language)).body
            for language in ("de", "fr", "de", "fr")
        ]

        assert bodies == [b"de", b"fr", b"de", b"fr"]
        assert len(origin.heard) == 2


async def test_cache_off_asks_the_origin_each_time_and_tells_browsers_to_keep_nothing() -> None:
    rules = """
version: 1
routes:
  - {name: live, match: {path: /live/*}, cache: off}
  - {name: rest, match: {path: /*}, cache: {ttl: 60s, scope: public}}
"""
    origin = ScriptedOrigin({"/live/a": [ok(b"now", max_age=60)]})
    async with origin, gateway_before(origin, rules) as world:
        client = await world.connect()
        replies = [await client.get("/live/a") for _ in range(3)]

        assert [reply.word for reply in replies] == ["BYPASS"] * 3
        never = "private, no-cache, no-store, must-revalidate"
        assert {reply.get("cache-control") for reply in replies} == {never}
        assert len(origin.heard) == 3
        world.gateway.reading()
        assert world.counters.requests["live", "BYPASS", 2] == 3


async def test_a_lifetime_of_the_rules_speaks_for_a_silent_origin() -> None:
    rules = """
version: 1
routes: [{name: all, match: {path: /*}, cache: {ttl: 60s, scope: public}}]
"""
    async with scripted_origin(a=ok(b"one")) as origin, gateway_before(origin, rules) as world:
        words = [(await world.get("/a")).word for _ in range(2)]
        world.pass_time(61)
        late = await world.get("/a")

        assert words == ["MISS", "HIT"]
        assert late.word in ("MISS", "EXPIRED")
        assert len(origin.heard) == 2


async def test_an_object_above_the_limit_passes_and_is_not_stored() -> None:
    rules = "version: 1\ntiers: {memory: {size: 1MB, max_object: 64KB}}\n"
    large = ok(b"x" * 100_000, max_age=60)
    async with scripted_origin(a=large) as origin, gateway_before(origin, rules) as world:
        replies = [await world.get("/a") for _ in range(2)]

        assert [(reply.word, len(reply.body)) for reply in replies] == [("PASS", 100_000)] * 2
        assert world.gateway.site.memory.objects == 0


async def test_a_body_that_grows_above_the_limit_still_arrives_whole() -> None:
    async def growing(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(40):
            await wire.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await wire.send(b"0\r\n\r\n")

    rules = "version: 1\ntiers: {memory: {size: 1MB, max_object: 64KB}}\n"
    async with scripted_origin(a=growing) as origin, gateway_before(origin, rules) as world:
        replies = [await world.get("/a") for _ in range(2)]

        assert [len(reply.body) for reply in replies] == [40 * 0x1000] * 2
        assert world.gateway.site.memory.objects == 0


async def test_memory_holds_no_more_than_its_limit() -> None:
    async def numbered(heard: Heard, wire: Wire) -> None:
        await wire.send(ok(b"x" * 10_000, max_age=60))

    rules = "version: 1\ntiers: {memory: {size: 256KB}}\n"
    async with scripted_origin(a=numbered) as origin, gateway_before(origin, rules) as world:
        client = await world.connect()
        for number in range(60):
            await client.get(f"/a?{number}")

        memory = world.gateway.site.memory
        assert memory.bytes <= 256 * 1024
        assert memory.evictions >= 60 - 256 * 1024 // 10_000
        assert memory.objects > 10


async def test_a_write_makes_what_it_changed_be_asked_for_again() -> None:
    async def versioned(heard: Heard, wire: Wire) -> None:
        if heard.line.startswith("POST"):
            await wire.send(response("201 Created", location="/b", content_location="/c"))
        else:
            await wire.send(ok(b"%d" % len(origin.heard), max_age=60))

    origin = ScriptedOrigin({path: [versioned] for path in ("/a", "/b", "/c", "/d")})
    async with origin, gateway_before(origin) as world:
        for path in ("/a", "/b", "/c", "/d"):
            await world.get(path)
        posted = await world.get("/a", "POST", content_length="0")
        words = [(await world.get(path)).word for path in ("/a", "/b", "/c", "/d")]

        assert (posted.status, posted.word) == (201, "BYPASS")
        assert words == ["MISS", "MISS", "MISS", "HIT"]


async def test_a_write_that_failed_changes_nothing() -> None:
    async def refusing(heard: Heard, wire: Wire) -> None:
        bad = response("403 Forbidden")
        await wire.send(bad if heard.line.startswith("DELETE") else ok(b"one", max_age=60))

    async with scripted_origin(a=refusing) as origin, gateway_before(origin) as world:
        await world.get("/a")
        await world.get("/a", "DELETE")

        assert (await world.get("/a")).word == "HIT"


async def test_only_if_cached_is_refused_when_nothing_is_stored() -> None:
    async with scripted_origin(a=ok(max_age=60)) as origin, gateway_before(origin) as world:
        reply = await world.get("/a", cache_control="only-if-cached")

        assert reply.status == 504
        assert origin.heard == []
