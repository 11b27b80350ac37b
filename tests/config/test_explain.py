"""What `gateway explain` says, against what the gateway does."""

import json
from pathlib import Path

import pytest

from gateway.cli import main

RULES = """\
version: 1
identity: {user: {cookie: session}}
origins: {hub: {servers: [http://127.0.0.1:3000]}}
defaults: {cache: {status_ttl: {410: 1m}}}
routes:
  - {name: off, match: {path: /off/*}, cache: off}
  - {name: beta, match: {path: /a, header: {X-Beta: present}}, respond: {body: beta}}
  - name: pages
    match: {path: [/a, /b/*], method: GET}
    cache: {ttl: 60s, scope: public, groups: ["page:{path}"], key: {query: {ignore: [utm_*]}}}
  - {name: mine, match: {path: /mine}, cache: {ttl: 60s}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def explain(capsys: pytest.CaptureFixture[str], rules: Path, *arguments: str) -> dict[str, object]:
    status = main.main(["explain", *arguments, "--rules", str(rules), "--offline", "--json"])
    assert status == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def words(found: dict[str, object]) -> list[str]:
    obstacles = found["obstacles"]
    assert isinstance(obstacles, list)
    return [each["word"] for each in obstacles]


def test_the_route_the_key_and_why_others_do_not_match(
    capsys: pytest.CaptureFixture[str], rules: Path
) -> None:
    found = explain(capsys, rules, "GET", "/a?utm_source=x&page=2", "-H", "Host: Hub.test")

    assert (found["route"], found["line"]) == ("pages", 8)
    assert found["key"] == {"scope": "public", "host": "hub.test", "target": "/a?page=2"}
    assert found["ignored"] == ["utm_source=x"]
    assert found["earlier"] == [
        {"route": "off", "line": 6, "unmet": ["path: /off/*"]},
        {"route": "beta", "line": 7, "unmet": ["header: x-beta: present"]},
    ]
    assert (found["stored"], found["ttl"], found["groups"]) == (True, 60.0, ["page:/a"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["GET", "/off/x"], ["cache-off", "identity", "useless"], id="off"),
        pytest.param(["POST", "/mine"], ["method"], id="method"),
        pytest.param(["GET", "/mine"], ["identity"], id="identity"),
        pytest.param(
            ["GET", "/a", "-R", "Cache-Control: private, no-store"],
            ["no-store", "private"],
            id="both",
        ),
        pytest.param(["GET", "/a", "-R", "Set-Cookie: a=1"], ["set-cookie"], id="cookie"),
        pytest.param(["GET", "/a", "-R", "Vary: *"], ["vary"], id="vary"),
        pytest.param(["GET", "/a", "--status", "500"], ["error"], id="error"),
        pytest.param(["GET", "/a", "--status", "206"], ["partial"], id="partial"),
        pytest.param(
            ["GET", "/a", "-H", "Cache-Control: no-store"], ["request-no-store"], id="client"
        ),
    ],
)
def test_everything_that_keeps_an_answer_from_being_stored_is_named(
    capsys: pytest.CaptureFixture[str], rules: Path, arguments: list[str], expected: list[str]
) -> None:
    found = explain(capsys, rules, *arguments)

    assert found["stored"] is False
    assert words(found) == expected


def test_who_is_said_to_ask_counts_as_proven(
    capsys: pytest.CaptureFixture[str], rules: Path
) -> None:
    assert explain(capsys, rules, "GET", "/mine", "--as", "user=ada")["stored"] is True
    assert explain(capsys, rules, "GET", "/mine", "-H", "Cookie: session=x")["stored"] is True


def test_what_the_gateway_answers_itself_is_told(
    capsys: pytest.CaptureFixture[str], rules: Path
) -> None:
    found = explain(capsys, rules, "GET", "/a", "-H", "X-Beta: 1")

    assert (found["route"], found["answered"], found["obstacles"]) == ("beta", "respond", [])


def test_text_for_people_names_sections_and_remedies(
    capsys: pytest.CaptureFixture[str], rules: Path
) -> None:
    arguments = ["GET", "/a", "-R", "Cache-Control: private"]
    assert main.main(["explain", *arguments, "--rules", str(rules), "--offline"]) == 0
    out = capsys.readouterr().out

    assert "private: the origin says private (RFC 9111 section 5.2.2.7)" in out
    assert 'override: [private], because: "..."' in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["GET", "a"], "begins with no slash"),
        (["GET", "/a/../b"], "400"),
    ],
)
def test_what_would_be_refused_is_told(
    capsys: pytest.CaptureFixture[str], rules: Path, arguments: list[str], said: str
) -> None:
    assert main.main(["explain", *arguments, "--rules", str(rules), "--offline"]) == 0
    assert said in capsys.readouterr().out


def test_arguments_that_make_no_sense_are_errors(
    capsys: pytest.CaptureFixture[str], rules: Path
) -> None:
    for wrong in (["--as", "me"], ["-H", "nocolon"]):
        assert main.main(["explain", "GET", "/a", *wrong, "--rules", str(rules)]) == 1
    assert "expected org=NAME" in capsys.readouterr().err
