"""`gateway init`: what it writes is good rules, whatever it is given to read."""

import io
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.main import main
from gateway.config import draft_log, draft_openapi
from gateway.config.build import Examined, examine
from gateway.config.draft import STARTER, Draft, text
from gateway.config.rule_tests import run
from gateway.routing.route import Route

COMBINED = '192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "{} HTTP/1.1" {} 2326 "-" "curl/8"'


def good(written: str) -> Examined:
    """Return what the rules *written* come to; no error, no warning, all tests passed."""
    examined = examine(Path("rules.yaml"), {}, None, written.encode())
    assert list(examined.findings) == []
    assert examined.snapshot is not None
    passed, count = run(examined.tests, examined.snapshot, examined.findings)
    assert passed == count
    return examined


def route_of(examined: Examined, path: str) -> Route:
    assert examined.snapshot is not None
    return examined.snapshot.routes.find(b"GET", path.encode())


def nginx(*requests: tuple[str, int]) -> list[str]:
    return [COMBINED.format(request, status) for request, status in requests]


def from_log(lines: list[str]) -> Examined:
    return good(text(Draft(routes=tuple(draft_log.routes(draft_log.summary(lines))))))


def from_openapi(described: object, server: str | None = None) -> Examined:
    content = json.dumps(described).encode()
    return good(text(draft_openapi.draft(content, "api.json", server)))


def test_the_starter_is_good_and_commented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"

    assert main(["init", str(file), "--origin", "http://127.0.0.1:4000"]) == 0

    written = file.read_text()
    examined = good(written)
    assert examined.snapshot is not None
    assert str(examined.snapshot.origins["site"].endpoints[0]) == "127.0.0.1:4000"
    assert written.count("#") > 12
    assert "next: gateway check" in capsys.readouterr().out


def test_a_file_that_is_there_is_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("mine")

    assert main(["init", str(file)]) == 1
    assert (file.read_text(), "--force" in capsys.readouterr().err) == ("mine", True)
    assert main(["init", str(file), "--force"]) == 0
    assert file.read_text() != "mine"


def test_it_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-"]) == 0
    good(capsys.readouterr().out)


def test_json_says_what_was_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-", "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert [route["name"] for route in answer["routes"]] == [route.name for route in STARTER]
    assert answer["routes"][0]["cache"] == "off"
    good(answer["text"])


def test_an_origin_that_is_no_url_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-", "--origin", "127.0.0.1:80"]) == 1
    assert 'did you mean "http://127.0.0.1:80"?' in capsys.readouterr().err


def test_many_values_of_one_segment_become_a_star() -> None:
    lines = nginx(*((f"GET /blog/post-{n}", 200) for n in range(50)))
    examined = from_log([*lines, *nginx(("GET /pricing", 200), ("GET /team/about", 200))])

    assert route_of(examined, "/blog/anything").paths == ("/blog/*",)
    assert route_of(examined, "/pricing").paths == ("/pricing",)
    assert route_of(examined, "/team/about").paths == ("/team/about",)
    assert route_of(examined, "/team/other").name == "default"


@pytest.mark.parametrize(
    "value", ["17", "550e8400-e29b-41d4-a716-446655440000", "5d41402abc4b2a76b9719d911017c592"]
)
def test_one_number_or_digest_is_enough_for_a_star(value: str) -> None:
    examined = from_log(nginx((f"GET /orders/{value}", 200)))

    assert route_of(examined, "/orders/x").paths == ("/orders/*",)


@pytest.mark.parametrize("path", ["/login", "/api/auth/session", "/admin/users/3", "/me"])
def test_what_sounds_private_is_never_kept(path: str) -> None:
    examined = from_log(nginx((f"GET {path}", 200), ("GET /", 200)))

    assert not route_of(examined, path).cache.enabled


def test_nothing_but_files_is_proposed_as_public() -> None:
    examined = from_log(
        nginx(
            ("GET /static/app.3f9a1c2b7d.js", 200),
            ("GET /img/logo.png", 200),
            ("GET /about", 200),
        )
    )

    scopes = {
        path: (route_of(examined, path).cache.scope.value, route_of(examined, path).cache.lifetime)
        for path in ("/static/app.00000000.js", "/img/logo.png", "/about")
    }
    assert scopes == {
        "/static/app.00000000.js": ("public", 365 * 86400),
        "/img/logo.png": ("public", 3600),
        "/about": ("user", 60),
    }


def test_errors_and_writes_propose_nothing() -> None:
    found = draft_log.summary(nginx(("GET /wp-login.php", 404), ("POST /orders", 201)))

    assert (found.requests, draft_log.routes(found)) == (2, [])


def test_both_formats_are_read_and_what_is_neither_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "access.log"
    ours = json.dumps({"method": "GET", "target": "/a?utm_source=x&fbclid=1", "status": 200})
    log.write_text("\n".join([ours, *nginx(("GET /b", 200)), "garbage", "{}", ""]))

    assert main(["init", str(tmp_path / "r.yaml"), "--from-log", str(log)]) == 0

    out = capsys.readouterr().out
    assert "2 requests read" in out
    assert "2 lines are no requests, the first is line 3" in out
    good((tmp_path / "r.yaml").read_text())


def test_a_log_comes_by_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(nginx(("GET /a", 200)))))

    assert main(["init", "-", "--from-log", "-"]) == 0
    assert route_of(good(capsys.readouterr().out), "/a").paths == ("/a",)


@pytest.mark.parametrize("content", ["", "hello\nworld\n"])
def test_a_log_without_requests_is_refused(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "access.log"
    log.write_text(content)

    assert main(["init", "-", "--from-log", str(log)]) == 1
    assert "no line that is a request" in capsys.readouterr().err


SEGMENT = st.text(
    st.sampled_from("ab*%[]{},:#&'\"\\ é0123456789.-_~"), min_size=0, max_size=6
) | st.sampled_from(["login", "app.0a1b2c3d4e.js", "x.png", "api", "off", "null", "default"])
TARGETS = st.builds(lambda parts: "/" + "/".join(parts), st.lists(SEGMENT, max_size=5))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["GET", "HEAD", "POST"]), TARGETS), max_size=40))
def test_whatever_was_asked_for_the_proposal_is_good(requests: list[tuple[str, str]]) -> None:
    lines = [
        json.dumps({"method": method, "target": target, "status": 200})
        for method, target in requests
    ]

    from_log(lines)


API = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://api.example.com/v2"}],
    "security": [{"bearer": []}],
    "paths": {
        "/issues": {
            "get": {
                "summary": "List issues",
                "operationId": "listIssues",
                "parameters": [{"in": "query", "name": "page"}, {"in": "header", "name": "x"}],
            },
            "post": {},
        },
        "/issues/{id}": {"get": {"security": []}, "delete": {}},
        "/issues/open": {"get": {"security": []}},
        "/login": {"post": {}},
    },
}


def test_operations_become_routes_with_the_narrow_ones_first() -> None:
    examined = from_openapi(API)
    assert examined.snapshot is not None

    listed = route_of(examined, "/v2/issues")
    assert (listed.name, listed.cache.scope.value) == ("listissues", "user")
    assert listed.cache.query.only == ("page",)
    assert route_of(examined, "/v2/issues/open").paths == ("/v2/issues/open",)
    assert route_of(examined, "/v2/issues/7").cache.scope.value == "public"
    assert examined.snapshot.origins["site"].endpoints[0].host == "api.example.com"


def test_writes_clear_the_group_of_their_resource() -> None:
    examined = from_openapi(API)
    assert examined.snapshot is not None

    (write,) = examined.snapshot.on_write
    assert write.paths == ("/v2/issues", "/v2/issues/*")
    assert (write.groups, write.methods) == (("issues",), frozenset({"POST", "DELETE"}))
    assert route_of(examined, "/v2/issues").groups == ("issues",)


def test_a_description_may_be_yaml(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(yaml.safe_dump(API))

    rules = tmp_path / "rules.yaml"
    assert main(["init", str(rules), "--from-openapi", str(file), "--origin", "http://a"]) == 0
    assert "http://a" in rules.read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "neither JSON nor YAML"),
        ("[]", 'it has no "paths"'),
        ('{"swagger": "2.0", "paths": {}}', "expected openapi: 3.x"),
    ],
)
def test_what_is_no_description_is_refused(
    tmp_path: Path, content: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "api.json"
    file.write_text(content)

    assert main(["init", "-", "--from-openapi", str(file)]) == 1
    assert told in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "summary": JSON,
        "operationId": JSON | st.text(max_size=8),
        "security": JSON | st.just([]),
        "parameters": JSON
        | st.lists(st.fixed_dictionaries({"in": st.just("query"), "name": st.text(max_size=4)})),
    },
)
PATHS = st.dictionaries(
    TARGETS.map(lambda path: path.replace("a", "{id}")) | st.text(max_size=4),
    st.dictionaries(st.sampled_from(["get", "post", "delete", "x"]), OPERATION | JSON, max_size=3),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(PATHS, JSON, JSON)
def test_whatever_is_described_the_proposal_is_good(
    paths: object, servers: object, security: object
) -> None:
    from_openapi(
        {"openapi": "3.0.0", "paths": paths, "servers": servers, "security": security},
        "http://127.0.0.1:1",
    )
