"""Unreachable routes among those that ask for hosts, fields, cookies, parameters and methods.

A route is called unreachable only when no request at all reaches it, which is tried with every
combination of what the rules speak about and of something that they don't.
"""

import itertools
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.build import Examined, examine
from gateway.control.explain import unmet
from gateway.routing.conditions import Asked
from gateway.wire.fields import Fields

VALUES = ["present", "absent", "a", "b", "a*"]
GLOBS = ["/*", "/x/*", "/x/y", "/x", "/*/y", "/x*"]
MATCH = st.fixed_dictionaries(
    {"path": st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2, unique=True)},
    optional={
        "method": st.lists(st.sampled_from(["GET", "POST"]), min_size=1, max_size=2, unique=True),
        "host": st.lists(
            st.sampled_from(["a.test", "*.test", "b.a.test", "a.test:81"]), min_size=1, max_size=2
        ),
        "header": st.dictionaries(st.just("X-A"), st.sampled_from(VALUES), min_size=1),
        "cookie": st.dictionaries(st.just("c"), st.sampled_from(VALUES), min_size=1),
        "query": st.dictionaries(st.just("q"), st.sampled_from(VALUES), min_size=1),
        "path_regex": st.sampled_from(["/x.*", "/[a-z]/y"]),
    },
)
ROUTES = st.lists(
    st.builds(
        lambda match, off, spared: {
            "match": match,
            **({"cache": "off"} if off else {}),
            **({"except": spared} if off and spared else {}),
        },
        MATCH,
        st.booleans(),
        st.sampled_from([None, None, "/x/y", "/x/*"]),
    ),
    min_size=2,
    max_size=5,
)
PATHS = [b"/", b"/x", b"/x/y", b"/x/z", b"/z/y", b"/x/y/z", b"/xx", b"/9/y", b"/a/y"]
HOSTS = [b"", b"other", b"a.test", b"b.a.test", b"c.test", b"a.test:81", b"b.a.test:81"]
METHODS = [b"GET", b"POST", b"PUT"]
SENT = [None, b"a", b"b", b"ab", b"z"]


def _requests() -> list[Asked]:
    made = []
    for method, path, host, header, cookie, query in itertools.product(
        METHODS, PATHS, HOSTS, SENT, SENT, SENT
    ):
        lines = []
        if header is not None:
            lines.append((b"X-A", header))
        if cookie is not None:
            lines.append((b"Cookie", b"c=" + cookie))
        asked = None if query is None else b"q=" + query
        made.append(Asked(method, path, asked, host, Fields.of(*lines)))
    return made


REQUESTS = _requests()
NEVER = re.compile(r'route "(r[0-9]+)" can never match')


def checked(routes: list[dict[str, Any]]) -> Examined:
    named = [{"name": f"r{number}", **route} for number, route in enumerate(routes)]
    file = {"version": "1", "origins": {"o": {"servers": "http://o"}}, "routes": named}
    return examine(Path("rules.yaml"), {}, None, yaml.safe_dump(file, sort_keys=False).encode())


def taken(routes: list[dict[str, Any]], wanted: str) -> Asked | None:
    """Return a request that reaches the route *wanted*, found by asking them one by one."""
    table = []
    for number, route in enumerate(routes):
        (only,) = [each for each in checked([route]).routes if each.route.name == "r0"]
        table.append((f"r{number}", only.route))
    ranked = sorted(table, key=lambda each: not each[1].wins)
    for asked in REQUESTS:
        name = next((name for name, route in ranked if not unmet(route, asked)), None)
        if name == wanted:
            return asked
    return None


@settings(max_examples=30, deadline=None)
@given(ROUTES)
@example(
    [
        {"match": {"path": ["/*"], "host": ["*.test"]}},
        {"match": {"path": ["/x"], "host": ["a.test"]}},
    ]
)
@example(
    [
        {"match": {"path": ["/*"], "header": {"X-A": "present"}}},
        {"match": {"path": ["/x"], "header": {"X-A": "a*"}}},
    ]
)
def test_what_is_called_unreachable_is_reached_by_no_request(routes: list[dict[str, Any]]) -> None:
    alone = [checked([route]) for route in routes]
    if any(each.snapshot is None for each in alone):
        return  # A route that its own `except` leaves nothing to is an error by itself.
    told = {
        match[1]
        for finding in checked(routes).findings
        if (match := NEVER.match(finding.text)) is not None
    }

    for name in told:
        assert taken(routes, name) is None


def unreachable(*routes: dict[str, Any]) -> list[str]:
    found = (NEVER.match(each.text) for each in checked(list(routes)).findings)
    return [match[1] for match in found if match is not None]


def test_several_hosts_together_leave_nothing() -> None:
    assert unreachable(
        {"match": {"path": "/x/*", "host": "a.test"}},
        {"match": {"path": "/x/*", "host": "*.b.test"}},
        {"match": {"path": "/x/y", "host": ["a.test", "c.b.test"]}},
    ) == ["r2"]


def test_a_host_on_one_port_leaves_the_others() -> None:
    assert (
        unreachable(
            {"match": {"path": "/*", "host": "a.test:81"}},
            {"match": {"path": "/*", "host": "a.test"}},
        )
        == []
    )


def test_presence_and_absence_together_leave_nothing() -> None:
    assert unreachable(
        {"match": {"path": "/x/*", "header": {"X-A": "present"}}},
        {"match": {"path": "/*", "header": {"x-a": "absent"}}},
        {"match": {"path": "/x/y"}},
    ) == ["r2"]


def test_methods_and_conditions_of_several_routes_add_up() -> None:
    assert unreachable(
        {"match": {"path": "/x", "method": "GET"}},
        {"match": {"path": "/x", "method": "POST", "cookie": {"c": "present"}}},
        {"match": {"path": "/x", "method": "POST", "cookie": {"c": "absent"}}},
        {"match": {"path": "/x", "method": ["GET", "POST"]}},
    ) == ["r3"]


def test_one_value_isn_t_all_of_them() -> None:
    assert (
        unreachable(
            {"match": {"path": "/x", "query": {"q": "a"}}},
            {"match": {"path": "/x", "query": {"q": "absent"}}},
            {"match": {"path": "/x"}},
        )
        == []
    )


def test_what_an_exception_leaves_is_reached() -> None:
    off = {"match": {"path": "/x/*"}, "cache": "off"}

    assert unreachable({"match": {"path": "/x/y"}}, off) == ["r0"]
    assert unreachable({"match": {"path": "/x/y"}}, {**off, "except": "/x/y"}) == []


def test_the_error_names_both_lines() -> None:
    first = {"match": {"path": "/x/*"}}
    (finding,) = checked([first, {"match": {"path": "/x/y"}}]).findings

    assert finding.place is not None
    assert finding.text.startswith('route "r1" can never match: "/x/*" on line ')
    lines = finding.place.source.lines
    number = int(re.findall(r"on line (\d+)", finding.text)[0])
    assert "/x/*" in lines[number - 1]
