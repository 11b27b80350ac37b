"""The tests that stand in a rules file: what passes, and what is said of what fails."""

from pathlib import Path

import pytest

from gateway.config.build import examine
from gateway.config.rule_tests import run

RULES = """\
version: 1
identity: {user: {cookie: session}}
origins: {hub: {servers: http://a}}
routes:
  - name: private
    match: {path: /me/*}
    cache: off
  - name: mine
    match: {path: /mine}
    cache: {ttl: 1m}
  - name: pages
    match: {path: /blog/*, host: hub.test}
    cache: {ttl: 1h, browser_ttl: 1m, scope: public, key: {query: {ignore: [utm_*]}}}
  - name: old
    match: {path: /old}
    redirect: {to: /new, status: 307}
tests:
"""


def outcome(test: str) -> list[str]:
    """Run one test; return what failed."""
    examined = examine(Path("rules.yaml"), {}, None, (RULES + f"  - {test}\n").encode())
    assert examined.snapshot is not None, list(examined.findings)
    passed, count = run(examined.tests, examined.snapshot, examined.findings)
    failures = [each.text for each in examined.findings]
    assert (passed, count) == (0 if failures else 1, 1)
    assert all(each.place and each.place.line == 18 for each in examined.findings)
    return failures


HUB = "headers: {Host: hub.test}"
PASSING = [
    "{request: GET /me/x, expect: {route: private, stored: false, browser_ttl: none}}",
    "{request: GET /mine, as: {user: a}, expect: {stored: true, scope: user, ttl: 1m}}",
    "{request: GET /mine, as: {user: a}, not_shared_with: {user: b}}",
    "{request: GET /mine, as: {user: a}, shared_with: GET /mine}",
    "{request: GET /mine, expect: {stored: false}}",
    f"{{request: GET /blog/a, {HUB}, expect: {{route: pages, ttl: HOUR, browser_ttl: 60s}}}}",
    f"{{request: GET /blog/a?utm_x=1, {HUB}, shared_with: GET /blog/a}}",
    f"{{request: GET /blog/a, {HUB}, not_shared_with: GET /blog/b}}",
    "{request: GET /blog/a, expect: {route: default, origin: hub}}",
    "{request: GET /old, expect: {status: 307, stored: false}}",
    f"{{request: POST /blog/a, {HUB}, expect: {{route: pages, stored: false}}}}",
    "{request: GET /old, response: {headers: {Vary: '*'}}, expect: {status: 307}}",
]


@pytest.mark.parametrize("test", PASSING)
def test_what_is_so_passes(test: str) -> None:
    assert outcome(test) == []


def test_values_are_compared_in_utf_8(tmp_path: Path) -> None:
    content = """\
version: 1
origins: {hub: {servers: http://a}}
routes:
  - {name: euro, match: {header: {X-A: "\u20ac*"}, query: {q: "\u00e9"}}, cache: {scope: public}}
tests:
  - {request: "GET /?q=%C3%A9", headers: {X-A: "\u20ac5"}, expect: {route: euro}}
  - {request: "GET /?q=e", headers: {X-A: "\u20ac5"}, expect: {route: default}}
  - {request: "GET /?q=%C3%A9", response: {headers: {X-B: "\u20ac"}}}
"""
    examined = examine(tmp_path / "rules.yaml", {}, None, content.encode())
    assert examined.snapshot is not None

    assert run(examined.tests, examined.snapshot, examined.findings) == (3, 3)


FAILING = [
    (
        "{request: GET /me/x, expect: {stored: true}}",
        'test failed: expected stored true, it is false (route "private" on line 5)',
    ),
    (
        "{request: GET /mine, as: {user: a}, expect: {ttl: 2m}}",
        'test failed: expected ttl 2m, it is 1m (route "mine" on line 8)',
    ),
    (
        f"{{request: GET /blog/a, {HUB}, as: {{user: a}}, not_shared_with: {{user: b}}}}",
        'test failed: what is stored for "GET /blog/a" on route "pages" would answer the other, '
        "too",
    ),
    (
        "{request: GET /mine, as: {user: a}, shared_with: {user: b}}",
        'test failed: what is stored for "GET /mine" on route "mine" answers nobody else',
    ),
    (
        "{request: GET /mine, shared_with: {user: b}}",
        'test failed: "GET /mine" isn\'t stored at all',
    ),
    (
        "{request: GET /a/../b, expect: {route: pages}}",
        'test failed: "GET /a/../b" is refused: the path has a dot segment',
    ),
    (
        "{request: GET /mine, as: {user: a}, shared_with: GET /a/..}",
        "test failed: the other request is refused: the path has a dot segment",
    ),
]


@pytest.mark.parametrize(("test", "told"), FAILING)
def test_what_is_not_so_is_told(test: str, told: str) -> None:
    assert outcome(test) == [told]


def test_an_origin_whose_words_contradict_each_other_is_told() -> None:
    answer = "response: {headers: {Cache-Control: 's-maxage=60, stale-while-revalidate=60'}}"
    examined = examine(
        Path("rules.yaml"), {}, None, f"{RULES}  - {{request: GET /x, {answer}}}\n".encode()
    )
    assert examined.snapshot is not None

    run(examined.tests, examined.snapshot, examined.findings)

    assert examined.findings.failed is False
    (warning,) = examined.findings
    assert warning.text.startswith("stale-while-revalidate does nothing beside s-maxage")


def test_each_expectation_that_fails_is_told() -> None:
    assert len(outcome("{request: GET /x, expect: {route: pages, stored: true, scope: org}}")) == 3
