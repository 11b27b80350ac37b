"""What routes do besides caching: as clients and origins notice it."""

import asyncio

import pytest

from tests.doubles.origin import ScriptedOrigin, ok, response
from tests.doubles.world import gateway_before


def rules(*routes: str, defaults: str = "") -> str:
    lines = ["version: 1", f"defaults: {{{defaults}}}" if defaults else "", "routes:"]
    return "\n".join([*lines, *(f"  - {{{route}}}" for route in routes)]) + "\n"


PUBLIC = "cache: {ttl: 60s, scope: public}"


async def test_a_fixed_answer_needs_no_origin() -> None:
    text = rules('match: {path: /robots.txt}, respond: {body: "User-agent: *\\n"}')
    async with gateway_before("http://127.0.0.1:1", text) as world:
        reply = await world.get("/robots.txt")
        head = await world.get("/robots.txt", "HEAD")

    assert (reply.status, reply.body, reply.word) == (200, b"User-agent: *\n", "BYPASS")
    assert reply.get("cache-status") == "gateway; detail=respond"
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "14")


@pytest.mark.parametrize(
    ("redirect", "target", "status", "location"),
    [
        pytest.param("/new{rest}", "/old/a?b=1", 301, "/new/a?b=1", id="rest-and-query"),
        pytest.param("https://x.test{path}", "/old/a", 301, "https://x.test/old/a", id="host"),
        pytest.param("{to: /new, status: 308, query: drop}", "/old/a?b", 308, "/new", id="in-full"),
        pytest.param("/{rest}", "/old//evil.test", 301, "/evil.test", id="never-another-host"),
    ],
)
async def test_a_redirect_leads_where_the_rules_say(
    redirect: str, target: str, status: int, location: str
) -> None:
    text = rules(
        f'match: {{path: /old/*}}, redirect: "{redirect}"'
        if redirect[0] != "{" or redirect == "{rest}"
        else f"match: {{path: /old/*}}, redirect: {redirect}"
    )
    async with gateway_before("http://127.0.0.1:1", text) as world:
        reply = await world.get(target)

    assert (reply.status, reply.get("location")) == (status, location)


async def test_the_origin_is_asked_for_what_a_rewrite_says_and_the_key_stays() -> None:
    origin = ScriptedOrigin({"/v2/a": [ok(b"new")]})
    text = rules(f'match: {{path: /v1/*}}, rewrite: "/v2{{rest}}", {PUBLIC}')
    async with origin, gateway_before(origin, text) as world:
        first = await world.get("/v1/a?q=1")
        second = await world.get("/v1/a?q=1")

    assert origin.lines() == ["GET /v2/a?q=1 HTTP/1.1"]
    assert [first.word, second.word, second.body] == ["MISS", "HIT", b"new"]


async def test_fields_are_set_and_removed_on_both_ways_for_hits_too() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a", server="origin", x_powered_by="php")]})
    text = rules(
        f"match: {{path: /a}}, {PUBLIC}, request_headers: {{set: {{X-Edge: east}}, "
        "remove: [Referer]}, response_headers: {set: {X-Frame-Options: DENY}, "
        "remove: [Server, X-Powered-By]}"
    )
    async with origin, gateway_before(origin, text) as world:
        replies = [
            await world.get("/a", referer="http://r.test/", x_edge="mine", connection="x-edge")
            for _ in range(3)
        ]

    assert origin.heard[0].get("x-edge") == "east"
    assert origin.heard[0].get("referer") is None
    assert [reply.word for reply in replies] == ["MISS", "HIT", "HIT"]
    for reply in replies:
        assert reply.get("x-frame-options") == "DENY"
        assert reply.get("server") is None
        assert reply.get("x-powered-by") is None


async def test_defaults_and_route_add_up_and_the_route_wins() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")], "/b": [ok(b"b")]})
    text = rules(
        "match: {path: /a}, cache: off, response_headers: {set: {X-A: route}}",
        defaults="response_headers: {set: {X-A: all, X-B: all}}",
    )
    async with origin, gateway_before(origin, text) as world:
        one, other = await world.get("/a"), await world.get("/b")

    assert (one.get("x-a"), one.get("x-b")) == ("route", "all")
    assert (other.get("x-a"), other.get("x-b")) == ("all", "all")


async def test_who_is_kept_out_gets_403_even_of_what_is_stored() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(f"match: {{path: /a}}, {PUBLIC}, access: {{deny: [127.0.0.0/8]}}")
    async with origin, gateway_before(origin, text) as world:
        replies = [await world.get("/a") for _ in range(3)]

    assert [reply.status for reply in replies] == [403] * 3
    assert origin.heard == []


async def test_who_is_let_in_gets_hits() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(f"match: {{path: /a}}, {PUBLIC}, access: {{allow: [127.0.0.1, 192.0.2.0/24]}}")
    async with origin, gateway_before(origin, text) as world:
        assert [(await world.get("/a")).word for _ in range(4)] == ["MISS", "HIT", "HIT", "HIT"]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "in-chunks"])
async def test_a_body_beyond_the_limit_gets_413(chunked: bool) -> None:
    origin = ScriptedOrigin({"/up": [ok(b"taken")]})
    text = rules("match: {path: /up}, cache: off, max_body: 1KB")
    async with origin, gateway_before(origin, text) as world:
        client = await world.connect()
        if chunked:
            await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            await client.send(b"401\r\n" + b"x" * 1025 + b"\r\n")
        else:
            await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n")
        reply = await client.reply("POST")
        small = await world.connect()
        await small.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")

        assert reply.status == 413
        assert (await small.reply("POST")).body == b"taken"


async def test_a_routes_time_limit_takes_the_place_of_the_origins() -> None:
    origin = ScriptedOrigin({"/slow": [_never]})
    text = rules("match: {path: /slow}, cache: off, timeouts: {first_byte: 200ms}")
    async with origin, gateway_before(origin, text) as world:
        assert (await world.get("/slow")).status == 504


async def _never(heard: object, wire: object) -> None:
    await asyncio.get_running_loop().create_future()


async def test_responses_are_in_the_groups_of_their_route_and_writes_clear_them() -> None:
    text = (
        rules(f'name: lists, match: {{path: /list}}, {PUBLIC[:-1]}, groups: [lists, "{{route}}"]}}')
        + "invalidate:\n  - {when: {path: /write/*, methods: [POST]}, groups: [lists]}\n"
    )
    origin = ScriptedOrigin(
        {"/list": [ok(b"1"), ok(b"2")], "/write/a": [ok(b""), response("500 No")]}
    )
    async with origin, gateway_before(origin, text) as world:
        await world.get("/list")
        world.pass_time(1)
        await world.get("/write/a", "POST", content_length="0")
        world.pass_time(1)
        after = await world.get("/list")
        world.pass_time(1)
        await world.get("/write/a", "POST", content_length="0")
        world.pass_time(1)

        assert (after.word, after.body) == ("EXPIRED", b"2")
        assert (await world.get("/list")).word == "HIT"


async def test_an_override_keeps_a_response_but_never_its_cookie() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a", set_cookie="id=1", cache_control="private")]})
    text = rules(
        "match: {path: /a}, cache: {ttl: 60s, scope: public, override: [private, set-cookie], "
        'because: "the cookie is a counter that nobody reads"}'
    )
    async with origin, gateway_before(origin, text) as world:
        first, second = await world.get("/a"), await world.get("/a")

    assert (first.word, first.get("set-cookie")) == ("MISS", "id=1")
    assert (second.word, second.get("set-cookie")) == ("HIT", None)


@pytest.mark.parametrize(
    ("action", "words"),
    [("exact", ["MISS", "MISS"]), ("normalize", ["MISS", "HIT"]), ("bypass", ["PASS", "PASS"])],
)
async def test_vary_does_what_the_route_says(action: str, words: list[str]) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a", vary="Accept-Language")]})
    text = rules(f"match: {{path: /a}}, {PUBLIC[:-1]}, vary: {{Accept-Language: {action}}}}}")
    async with origin, gateway_before(origin, text) as world:
        first = await world.get("/a", accept_language="en, de")
        second = await world.get("/a", accept_language="de,en")

    assert [first.word, second.word] == words


async def test_purge_forgets_a_url_for_those_who_may() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"1"), ok(b"2")], "/b": [ok(b"b")]})
    text = rules(
        f"match: {{path: /a}}, {PUBLIC}, purge: {{allow: [127.0.0.1]}}",
        f"match: {{path: /b}}, {PUBLIC}, purge: {{allow: [192.0.2.1]}}",
    )
    async with origin, gateway_before(origin, text) as world:
        await world.get("/a")
        world.pass_time(1)
        purged = await world.get("/a", "PURGE")
        refused = await world.get("/b", "PURGE")

        assert (purged.status, refused.status) == (200, 403)
        assert (await world.get("/a")).body == b"2"
        assert "PURGE" not in " ".join(origin.lines())


async def test_routes_are_chosen_by_host_field_cookie_and_query() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(
        "name: host, match: {host: a.test}, respond: {body: host}",
        "name: field, match: {path: /a, header: {X-Beta: present}}, respond: {body: field}",
        "name: cookie, match: {path: /a, cookie: {theme: dark*}}, respond: {body: cookie}",
        'name: query, match: {path: /a, query: {preview: ["1", "yes"]}}, respond: {body: query}',
        'name: regex, match: {path_regex: "/[a-z]{3}/[0-9]+"}, respond: {body: regex}',
        f"name: rest, match: {{path: /*}}, {PUBLIC}",
    )
    async with origin, gateway_before(origin, text) as world:
        assert (await world.get("/x", host="a.test:80")).body == b"host"
        assert (await world.get("/a", x_beta="1")).body == b"field"
        assert (await world.get("/a", cookie="x=1; theme=darker")).body == b"cookie"
        assert (await world.get("/a?preview=yes")).body == b"query"
        assert (await world.get("/abc/12")).body == b"regex"
        words = [(await world.get("/a", cookie=f"theme=light{n}")).word for n in range(3)]
        assert words == ["MISS", "HIT", "HIT"]
        assert (await world.get("/a", cookie="theme=dark")).body == b"cookie"


async def test_what_is_off_gives_way_where_it_makes_an_exception() -> None:
    origin = ScriptedOrigin({"/app/open": [ok(b"a")], "/app/x": [ok(b"x")]})
    text = rules(
        "name: private, match: {path: /app/*}, except: /app/open, cache: off",
        f"name: open, match: {{path: /app/*}}, {PUBLIC}",
    )
    async with origin, gateway_before(origin, text) as world:
        assert [(await world.get("/app/open")).word for _ in range(2)] == ["MISS", "HIT"]
        assert [(await world.get("/app/x")).word for _ in range(2)] == ["BYPASS", "BYPASS"]
