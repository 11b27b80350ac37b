"""Tests that stand in rules files: run by `gateway check`, and before any reload."""

from pathlib import Path

import pytest

from gateway.cli import main

RULES = """\
version: 1
identity: {user: {cookie: session}}
origins: {hub: {servers: [http://127.0.0.1:3000]}}
routes:
  - {name: private, match: {path: /app/*}, cache: off}
  - {name: mine, match: {path: /mine}, cache: {ttl: 60s, browser_ttl: 10s}}
  - {name: every, match: {path: /*}, cache: {ttl: 1h, scope: public, key: {query: {sort: true}}}}
tests:
"""


def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], *tests: str) -> tuple[int, str]:
    path = tmp_path / "rules.yaml"
    path.write_text(
        RULES.replace("name: all", "name: every") + "".join(f"  - {t}\n" for t in tests)
    )
    status = main.main(["check", str(path)])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    "test",
    [
        "{request: GET /app/x, expect: {route: private, stored: false}}",
        "{request: GET /x, expect: {route: every, stored: true, ttl: 1h, scope: public}}",
        "{request: GET /x?b&a, shared_with: GET /x?a&b}",
        "{request: GET /x?a, not_shared_with: GET /x?b}",
        "{request: GET /mine, as: {user: a}, not_shared_with: {user: b}}",
        "{request: GET /mine, as: {user: a}, expect: {browser_ttl: 10s, origin: hub}}",
        "{request: GET /mine, expect: {stored: false, browser_ttl: none}}",
        "{request: GET /x, response: {headers: {Vary: '*'}}, expect: {stored: false}}",
        "{request: GET /x, response: {status: 500}, expect: {stored: false, status: 500}}",
        "{request: POST /x, expect: {stored: false}}",
        "{request: GET /x, headers: {Cache-Control: no-store}, expect: {stored: false}}",
    ],
)
def test_a_test_that_is_right_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], test: str
) -> None:
    status, out = check(tmp_path, capsys, test)

    assert status == 0, out
    assert "1 of 1 test passed" in out


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("{request: GET /app/x, expect: {route: every}}", "expected route every, it is private"),
        ("{request: GET /x, expect: {ttl: 2h}}", "expected ttl 2h, it is 1h"),
        ("{request: GET /x, expect: {stored: false}}", "expected stored false, it is true"),
        ("{request: GET /mine, as: {user: a}, shared_with: {user: b}}", "answers nobody else"),
        ("{request: GET /x, not_shared_with: {user: b}}", "would answer the other, too"),
        ("{request: GET /app/x, shared_with: GET /app/y}", "isn't stored at all"),
        ("{request: GET /a/../b, expect: {stored: false}}", "is refused"),
    ],
)
def test_a_test_that_fails_is_an_error_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], test: str, said: str
) -> None:
    status, out = check(tmp_path, capsys, test)

    assert status == 1
    assert said in out
    assert "rules.yaml:9:" in out
    assert "0 of 1 test passed" in out
