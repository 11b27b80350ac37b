"""`gateway init`: whatever it is made from, what it writes passes `gateway check`."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli import main
from gateway.config import starter
from gateway.config.build import Examined, examine
from gateway.config.findings import render


def checked(text: str) -> Examined:
    examined = examine(Path("rules.yaml"), {}, None, text.encode())
    assert examined.snapshot is not None, render(examined.findings) + "\n" + text
    return examined


def combined(target: str, method: str = "GET", status: int = 200) -> str:
    time = "10/Oct/2026:13:55:36 +0000"
    return f'192.0.2.1 - - [{time}] "{method} {target} HTTP/1.1" {status} 512 "-" "curl/8"'


def ours(target: str, method: str = "GET", status: int = 200) -> str:
    return json.dumps({"method": method, "target": target, "status": status})


def caches(examined: Examined) -> dict[str, tuple[bool, float | None, str]]:
    found = {}
    for each in examined.routes:
        rules = each.route.cache
        found[" ".join(each.route.paths)] = (rules.enabled, rules.lifetime, rules.scope.value)
    return found


def test_the_starter_is_good_and_its_own_tests_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.yaml"
    assert main.main(["init", str(path)]) == 0
    assert main.main(["check", str(path)]) == 0

    assert "2 of 2 tests passed" in capsys.readouterr().out


def test_a_file_that_is_there_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("mine")

    assert main.main(["init", str(path)]) == 1
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main.main(["init", str(path), "--force"]) == 0
    assert path.read_text().startswith("# yaml-language-server")


@pytest.mark.parametrize("line", [ours, combined], ids=["ours", "combined"])
def test_a_log_proposes_a_route_for_each_kind_of_path(line: object) -> None:
    assert callable(line)
    lines = [line(f"/assets/app.{n:08x}abcd.js") for n in range(40)]
    lines += [line(f"/api/items/{n}") for n in range(60)]
    lines += [line("/account/login", "POST"), line("/account/login")] * 20
    lines += [line("/"), line("/blog/a"), line("/blog/b")] * 30

    found = caches(checked(starter.from_log(lines)))

    assert found["/assets/*"] == (True, 31536000.0, "public")
    assert found["/api/items/*"] == (True, 30.0, "user")
    assert found["/account/*"][0] is False
    assert found["/blog/*"] == (True, None, "user")
    assert "/" in found


def test_a_log_without_a_readable_line_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "access.log"
    log.write_text("hello\nworld\n")

    assert main.main(["init", "-", "--from-log", str(log)]) == 1
    assert "no line of the log could be read" in capsys.readouterr().err


OPENAPI = """\
openapi: 3.1.0
servers: [{url: https://hub.test/v1}]
security: [{session: []}]
paths:
  /items:
    get: {summary: List items}
    post: {summary: Make one}
  /items/{id}:
    get: {summary: One item}
  /prices:
    get: {summary: What it costs, security: []}
  /auth/session:
    get: {summary: Who am I}
"""


def test_a_description_proposes_routes_and_what_writes_clear(tmp_path: Path) -> None:
    path, rules = tmp_path / "openapi.yaml", tmp_path / "rules.yaml"
    path.write_text(OPENAPI)
    assert main.main(["init", str(rules), "--from-openapi", str(path)]) == 0

    examined = checked(rules.read_text())
    found = caches(examined)
    assert found["/v1/items"] == (True, 30.0, "user")
    assert found["/v1/items/*"] == (True, 30.0, "user")
    assert found["/v1/prices"] == (True, 60.0, "public")
    assert found["/v1/auth/session"][0] is False
    assert examined.snapshot is not None
    assert examined.snapshot.on_write[0].paths == ("/v1/items",)


@pytest.mark.parametrize("text", ["[]", "{}", "paths: 3", "a: b: c", "paths: {/a: {post: {}}}"])
def test_what_is_no_description_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(text)

    assert main.main(["init", "-", "--from-openapi", str(path)]) == 1


TARGETS = st.from_regex(r"/[a-z0-9/._%*{}~-]{0,30}(\\?[a-z=&]{0,8})?", fullmatch=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TARGETS, st.sampled_from(["GET", "POST"])), min_size=2, max_size=12))
def test_whatever_a_log_holds_the_rules_are_good(entries: list[tuple[str, str]]) -> None:
    lines = [ours(target, method) for target, method in entries for _ in range(3)]

    checked(starter.from_log(lines))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TARGETS, st.sets(st.sampled_from(["get", "post"]), min_size=1), min_size=1))
def test_whatever_a_description_holds_the_rules_are_good(paths: dict[str, set[str]]) -> None:
    described: dict[str, object] = {
        path: {method: {} for method in methods} for path, methods in paths.items()
    }
    if any("get" in methods for methods in paths.values()):
        checked(starter.from_openapi({"paths": described}))
