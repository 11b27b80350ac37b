"""What `gateway explain` says, and that what it proposes does what it says."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.main import main
from gateway.config.build import examine
from gateway.control.explain import MOST_ROUTES, Explanation, Question, explain
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import PATIENCE
from tests.end_to_end.real import connect, gateway_process

HUB = "origins: {hub: {servers: [http://127.0.0.1:3000]}}\n"
SITE = f"""\
version: 1
{HUB}identity: {{user: {{cookie: session}}}}
defaults: {{cache: {{key: {{query: {{sort: true, ignore: [utm_*]}}}}}}}}
routes:
  - name: private
    match: {{path: [/account/*, /blog/drafts/*]}}
    cache: off
  - name: beta
    match: {{path: /blog/*, header: {{X-Beta: present}}, method: GET}}
    cache: {{ttl: 1m, scope: public}}
  - name: blog
    match: {{path: /blog/*}}
    cache: {{ttl: 1h, scope: public, vary: {{user-agent: bypass}}, groups: ["{{route}}"]}}
  - name: plain
    match: {{path: /plain/*}}
    cache: {{scope: public}}
  - name: mine
    match: {{path: /mine}}
    cache: {{ttl: 1m}}
  - name: old
    match: {{path: /old/*}}
    redirect: /new{{rest}}
"""


def said(
    rules: Path,
    target: str,
    method: str = "GET",
    status: int = 200,
    answer: Any = (),
    **fields: str,
) -> Explanation:
    examined = examine(rules, {}, None)
    assert examined.snapshot is not None, list(examined.findings)
    places = {each.route.name: str(each.place) for each in examined.routes if each.place}
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    question = Question(method, target, pairs, None, status, answer)
    return explain(examined.snapshot, question, places)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(SITE)
    return path


def test_the_route_and_why_the_earlier_ones_did_not_match(site: Path) -> None:
    told = said(site, "/blog/a")

    assert (told.route, told.place) == ("blog", f"{site}:12:5")
    assert [(each.route, each.why) for each in told.earlier] == [
        ("private", ["path: /account/* /blog/drafts/*"]),
        ("beta", ["header: x-beta: present"]),
    ]


def test_several_reasons_are_told_together(site: Path) -> None:
    (_, beta) = said(site, "/blog/a", "POST").earlier

    assert beta.why == ["method: GET HEAD", "header: x-beta: present"]


def test_a_route_that_is_off_comes_before_those_above_it(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\n" + HUB + "routes:\n"
        "  - {name: all, match: {path: /*}, cache: {ttl: 1m, scope: public}}\n"
        "  - {name: off, match: {path: /a/*}, cache: off}\n"
    )

    assert said(path, "/a/b").route == "off"
    assert [each.route for each in said(path, "/b").earlier] == ["off"]


def test_of_very_many_routes_the_nearest_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    routes = "".join(f"  - match: {{path: /r{n}}}\n" for n in range(100))
    path.write_text(f"version: 1\n{HUB}routes:\n{routes}")

    told = said(path, "/r99")

    assert [len(told.earlier), told.earlier_left_out] == [MOST_ROUTES, 99 - MOST_ROUTES]
    assert told.earlier[-1].route == "/r98"


def test_the_parts_of_the_key_and_what_is_left_out(site: Path) -> None:
    told = said(site, "/blog/a?utm_x=1&b=2&a=1", Cookie="session=1; theme=dark", Accept="*/*")

    assert told.key == {"scope": "public", "host": "localhost", "target": "/blog/a?a=1&b=2"}
    assert set(told.ignored) == {"parameter utm_x", "header cookie", "header accept"}
    assert "taken off before the fetch" in told.ignored["header cookie"]


def test_who_asks_is_proven_by_the_cookie_of_the_request(site: Path) -> None:
    assert said(site, "/mine", Cookie="session=1").key["user"] == "(the session)"
    assert said(site, "/mine").bypass == "bypass"


def test_how_long_it_is_stored_and_by_whose_word(site: Path) -> None:
    routes = said(site, "/blog/a")
    origins = said(site, "/plain/a", answer=[("Cache-Control", "s-maxage=7")])
    errors = said(site, "/plain/a", status=404, answer=[("Cache-Control", "max-age=9")])

    assert (routes.ttl, routes.ttl_from, routes.groups) == (3600, "route", ["blog"])
    assert (origins.ttl, origins.ttl_from) == (7, "s-maxage")
    assert (errors.ttl, errors.ttl_from) == (9, "max-age")


def test_what_the_origin_says_in_vain(site: Path) -> None:
    words = [("Cache-Control", "s-maxage=7, stale-while-revalidate=60")]

    assert said(site, "/plain/a", answer=words).stale_while_revalidate == 0
    assert "does nothing beside s-maxage" in (said(site, "/plain/a", answer=words).doubt or "")
    assert said(site, "/blog/a", answer=words).doubt is None


def test_what_the_gateway_answers_itself(site: Path) -> None:
    told = said(site, "/old/a")

    assert (told.answered_here, told.stored, told.told) == (301, False, ["Location: /new/a"])


OBSTACLES = [
    pytest.param("/account/x", {}, {"cache-off": "rules.yaml"}, id="off"),
    pytest.param("/plain/x", {}, {"useless": "RFC 9111 section 3"}, id="no lifetime"),
    pytest.param("/plain/x", {"status": 404}, {"error": "RFC 9111 section 3"}, id="an error"),
    pytest.param("/blog/x", {"status": 302}, {"status": "RFC 9111 section 3"}, id="a status"),
    pytest.param("/mine", {}, {"no-identity": "RFC 9111 section 3.5"}, id="nobody is proven"),
    pytest.param("/new", {}, {"no-identity": "RFC 9111 section 3.5"}, id="no route"),
    pytest.param(
        "/blog/x",
        {"answer": [("Set-Cookie", "a=b")]},
        {"set-cookie": "RFC 9111 section 7.3"},
        id="a cookie",
    ),
    pytest.param(
        "/blog/x",
        {"answer": [("Vary", "User-Agent")]},
        {"vary": "RFC 9111 section 4.1"},
        id="a field that the route bypasses",
    ),
    pytest.param(
        "/blog/x",
        {"answer": [("Set-Cookie", "a=b"), ("Cache-Control", "no-store, private")]},
        {
            "no-store": "RFC 9111 section 5.2.2.5",
            "private": "RFC 9111 section 5.2.2.7",
            "set-cookie": "RFC 9111 section 7.3",
        },
        id="several words of the origin",
    ),
]


@pytest.mark.parametrize(("target", "asked", "sections"), OBSTACLES)
def test_each_condition_is_named_with_its_section(
    site: Path, target: str, asked: dict[str, Any], sections: dict[str, str]
) -> None:
    told = said(site, target, **asked)

    found = {each.word: each.section for each in told.obstacles}
    assert not told.stored
    assert {word: found.get(word) for word in sections} == sections


@pytest.mark.parametrize(("target", "asked", "sections"), OBSTACLES)
def test_the_change_that_is_proposed_has_it_stored(
    site: Path, target: str, asked: dict[str, Any], sections: dict[str, str]
) -> None:
    del sections
    told = said(site, target, **asked)

    assert told.remedies
    document = yaml.load(site.read_text(), Loader=yaml.BaseLoader)
    for remedy in told.remedies:
        written = yaml.load("\n".join(remedy.lines), Loader=yaml.BaseLoader)
        if remedy.new_route:
            document["routes"].append(written)
        else:
            route = next(each for each in document["routes"] if each["name"] == remedy.route)
            merge(route, written)
    site.write_text(yaml.safe_dump(document))
    assert said(site, target, **asked).stored


def merge(into: dict[str, Any], written: dict[str, Any]) -> None:
    for key, value in written.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def test_a_file_without_routes_is_told_to_have_one(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("version: 1\n" + HUB)

    told = said(path, "/a", Authorization="Bearer x", answer=[("Cache-Control", "max-age=5")])

    assert [each.word for each in told.obstacles] == ["authorization"]
    (remedy,) = told.remedies
    assert (remedy.new_route, remedy.lines[0]) == (True, "match: {path: /a}")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"method": "POST"}, "method"),
        ({"status": 206}, "partial"),
        ({"answer": [("Vary", "*")]}, "vary"),
        ({"answer": [("Cache-Control", "no-cache")]}, "useless"),
        ({"Cache_Control": "no-store"}, "request-no-store"),
        ({"If_Match": '"a"'}, "condition"),
        ({"Content_Length": "3"}, "body"),
    ],
)
def test_what_no_rule_can_help_is_said_to_be_so(
    site: Path, asked: dict[str, Any], word: str
) -> None:
    told = said(site, "/blog/a", **asked)

    assert word in [each.word for each in told.obstacles]
    assert told.helpless
    assert told.remedies == []


def test_what_is_larger_than_the_tier_takes_is_told(site: Path) -> None:
    told = said(site, "/blog/a", answer=[("Content-Length", "99999999")])

    assert [each.word for each in told.obstacles] == ["too-large"]
    assert told.remedies[0].lines == ["tiers.memory.max_object: 99999999B"]


def test_the_kill_switch_is_told(site: Path) -> None:
    site.write_text(SITE.replace("/blog/*", "/api/*"))
    examined = examine(site, {"DISABLE_API_CACHE": "true"}, None)
    assert examined.snapshot is not None

    told = explain(examined.snapshot, Question("GET", "/api/x"), {})

    assert told.obstacles[0].section == "DISABLE_API_CACHE"
    assert told.helpless


def test_a_batch_names_the_route_of_each_member(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\n" + HUB + "routes:\n"
        "  - {name: a, protocol: trpc, match: {path: /t/a}, cache: {ttl: 1m, scope: public}}\n"
        "  - {name: b, protocol: trpc, match: {path: /t/b}, cache: off}\n"
    )

    told = said(path, "/t/a,b?batch=1")

    assert told.members == {"/t/a": "a", "/t/b": "b"}
    assert not told.stored


def test_people_read_it_as_text(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--rules", str(site), "--offline"]

    assert main(["explain", "GET", "/plain/a?utm_a=1", *flags, "-H", "Host: hub.test"]) == 0

    assert capsys.readouterr().out.splitlines()[:2] == [
        "GET /plain/a?utm_a=1  (host hub.test)",
        f"route     plain  {site}:15:5  origin hub",
    ]


def test_a_remedy_reads_like_yaml(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--rules", str(site), "--offline", "-R", "Set-Cookie: a=b"]

    assert main(["explain", "GET", "/plain/a", *flags]) == 0

    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("to store it"))
    assert lines[at : at + 2] == [
        f"to store it, write in route plain ({site}:15:5):",
        '    cache: {ttl: 60s, override: [set-cookie], because: "say why this is right"}',
    ]


def test_what_people_type_is_what_a_browser_would_send(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--rules", str(site), "--offline", "--json"]

    assert main(["explain", "get", "https://Hub.test/blog/caf\u00e9 au lait?x#top", *flags]) == 0

    assert json.loads(capsys.readouterr().out)["request"] == {
        "method": "GET",
        "host": "hub.test",
        "target": "/blog/caf%C3%A9%20au%20lait?x",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["G T", "/"],
        ["G\u00c9T", "/"],
        ["GET", "/", "-H", "nothing"],
        ["GET", "/", "--as", "admin"],
        ["GET", "/", "--status", "99"],
    ],
)
def test_arguments_that_make_no_sense_are_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *arguments])

    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_a_request_that_would_be_refused_is_told_so(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["explain", "GET", "/a/../b", "--rules", str(site), "--offline"]

    assert main(asked) == 0
    assert "refused   400: the path has a dot segment" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["refused"]["status"] == 400


def test_without_a_running_gateway_the_rest_is_told(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--rules", str(site), "--admin", "http://127.0.0.1:1"]

    assert main(["explain", "GET", "/blog/a", *flags]) == 0
    assert "running   not known: no gateway answers" in capsys.readouterr().out


async def test_what_a_running_gateway_has_stored_is_told(tmp_path: Path) -> None:
    rules = (
        "version: 1\nroutes: [{name: pages, match: {path: /*}, cache: {ttl: 1h, scope: public}}]\n"
    )
    origin = ScriptedOrigin({"/a": [ok(b"hello", vary="Accept")]})
    async with origin, gateway_process(tmp_path, origin, workers=2, rules_text=rules) as gateway:
        client = await connect(gateway)
        await client.get("/a", Accept="text/html")
        client.close()
        where = "http://hub.test/a"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "explain", "GET", where, "--json"),
            *("--rules", str(tmp_path / "rules.yaml"), "--origin", origin.url),
            *("--admin", f"{gateway.admin[0]}:{gateway.admin[1]}"),
            *("-H", "Accept: text/html"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()

    running = json.loads(out)["running"]
    found = [each for worker in running["workers"] for each in worker["variants"]]
    assert running["explanation"]["route"]["name"] == "pages"
    assert [(each["status"], each["bytes"], each["vary"]) for each in found] == [
        (200, 5, {"accept": "text/html"})
    ]
