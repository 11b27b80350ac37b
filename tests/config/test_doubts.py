"""Warnings: what is legal in rules and surely not meant; and that good rules get none."""

from pathlib import Path

import pytest

from gateway.config.build import examine
from gateway.config.findings import Severity

HEAD = "version: 1\norigins: {o: {servers: http://o}}\n"
USERS = "identity: {user: {cookie: s}}\n"


def warnings(routes: str, *, head: str = HEAD) -> list[str]:
    content = f"{head}routes:\n" + "".join(f"  - {{{line}}}\n" for line in routes.splitlines())
    examined = examine(Path("rules.yaml"), {}, None, content.encode())
    assert examined.snapshot is not None, [each.text for each in examined.findings]
    assert {each.severity for each in examined.findings} <= {Severity.WARNING}
    return [each.text for each in examined.findings]


DOUBTFUL = [
    ("match: {path: /a}, cache: {ttl: 1m}", "its scope is user, and no user is known"),
    ("match: {path: /a}, cache: {scope: org}", "its scope is org, and no organisation is verified"),
    (
        'match: {path: /a}, cache: {scope: public, groups: ["org:{org}"]}',
        'the group "org:{org}" is never given: no org is verified',
    ),
    (
        "match: {path: /a}, cache: {ttl: 1m, scope: public, immutable: true}",
        "immutable does nothing without a browser_ttl",
    ),
    (
        "match: {path: /a}, cache: {scope: public, key: {query: {only: a, ignore: b}}}",
        '"b" is left out of the key anyway',
    ),
    (
        "match: {path: /a}, cache: {scope: public, key: {headers: Cookie}}",
        "Cookie divides a public answer",
    ),
    (
        "match: {path: /a, method: POST}, cache: {ttl: 1m, scope: public}",
        "nothing is stored for POST",
    ),
    ("match: {path: /a}, redirect: /b, cache: {ttl: 1m, scope: public}", "cache does nothing"),
    ("match: {path: /a}, respond: {body: x}, cache: {scope: public}", "cache does nothing"),
    ("match: {path: /a}, cache: off, images: on", "images does nothing with cache: off"),
    ("match: {path: /a/*}, redirect: /a/b", "leads to this route again, without end"),
    ("match: {path: /a/*}, redirect: '{path}'", "leads to this route again, without end"),
    (
        "match: {path: /a}, access: {allow: 10.1.0.0/16, deny: 10.0.0.0/8}",
        "nobody may ask: deny takes away all that allow gives",
    ),
    ("match: {path: /a, method: GTE}", '"GTE" is no method that anybody registered'),
    (
        "match: {path: /a}, cache: {scope: public, because: for the sake of it}",
        "because explains an override, and there is none",
    ),
    ("match: {path: [/a/*, /a/b]}\nmatch: {path: [/a/c, /d]}", "can never match"),
]


@pytest.mark.parametrize(("routes", "told"), DOUBTFUL)
def test_a_doubtful_route_is_told(routes: str, told: str) -> None:
    found = warnings(routes)

    assert len(found) == 1, found
    assert told in found[0]


def test_a_group_of_users_on_a_public_route_is_told() -> None:
    (text,) = warnings(
        'match: {path: /a}, cache: {scope: public, groups: ["u:{user}"]}', head=HEAD + USERS
    )

    assert "depends on who happens to ask first" in text


FINE = [
    "match: {path: /a}, cache: {ttl: 1m, scope: public, immutable: true, browser_ttl: 1m}",
    "match: {path: /a}, cache: {scope: public, immutable: true}",
    "match: {path: /a}, cache: {scope: public, key: {query: {only: [a_*], ignore: [a_b]}}}",
    "match: {path: /a}, cache: {scope: public, key: {headers: Accept, cookies: c}}",
    "match: {path: /a, method: [GET, POST]}, cache: {ttl: 1m, scope: public}",
    "match: {path: /a, method: POST}, cache: off",
    "match: {path: /a/*}, redirect: '/b{rest}'",
    "match: {path: /a, host: a.test}, redirect: /a",
    "match: {path: /a}, redirect: 'https://other.test/a'",
    "match: {path: /a}, access: {allow: 10.0.0.0/8, deny: 10.1.0.0/16}",
    "match: {path: /a}, access: {deny: 10.1.0.0/16}",
    'match: {path: /a}, cache: {scope: public, groups: ["{route}", "{host}{path}"]}',
]


@pytest.mark.parametrize("route", FINE)
def test_what_can_be_meant_is_left_alone(route: str) -> None:
    assert warnings(route) == []


def test_what_the_defaults_say_isn_t_held_against_each_route() -> None:
    head = (
        f"{HEAD}defaults: {{cache: {{ttl: 1m, scope: public, key: {{query: {{ignore: [b]}}}}}}}}\n"
    )

    assert (
        warnings(
            "match: {path: /a}, redirect: /b\n"
            "match: {path: /c, method: POST}\n"
            "match: {path: /d}, cache: {key: {query: {only: [a]}}}",
            head=head,
        )
        == []
    )
