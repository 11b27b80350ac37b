"""The route table against a loop that does what the manual says."""

import re
from collections.abc import Sequence
from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rules import CacheRules
from gateway.routing import glob
from gateway.routing.glob import BadGlob
from gateway.routing.route import Route
from gateway.routing.table import ApiPassed, RouteTable

OFF = CacheRules(enabled=False)
REST = Route("rest", "hub", CacheRules())


def route(name: str, *paths: str, methods: Sequence[str] = (), off: bool = False) -> Route:
    return Route(name, "hub", OFF if off else CacheRules(), paths, frozenset(methods))


def found(table: RouteTable, path: str, method: str = "GET") -> str:
    return table.find(method.encode(), path.encode()).name


def naive_match(pattern: str, path: str) -> bool:
    """What the manual says, in the plainest way."""
    if pattern.endswith("/*"):
        base = naive_expression(pattern[:-2])
        return re.fullmatch(f"{base}(?:/.*)?", path) is not None
    return re.fullmatch(naive_expression(pattern), path) is not None


def naive_expression(pattern: str) -> str:
    return "".join("[^/]*" if c == "*" else re.escape(c) for c in pattern)


def naive_find(routes: Sequence[Route], method: str, path: str) -> str:
    first = [r for r in routes if not r.cache.enabled]
    for each in [*first, *routes]:
        methods = set(each.methods) | ({"HEAD"} if "GET" in each.methods else set())
        if methods and method not in methods:
            continue
        if not each.paths or any(naive_match(p, path) for p in each.paths):
            return each.name
    return "rest"


SEGMENTS = st.text("ab*", max_size=3).filter(lambda text: "**" not in text)
GLOBS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
PATHS = st.lists(st.text("abc", max_size=3), min_size=1, max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT"])


@st.composite
def route_lists(draw: st.DrawFn) -> list[Route]:
    count = draw(st.integers(0, 8))
    return [
        route(
            f"route-{number}",
            *draw(st.lists(GLOBS, max_size=3)),
            methods=draw(st.lists(METHODS, max_size=2)),
            off=draw(st.booleans()),
        )
        for number in range(count)
    ]


@given(route_lists(), st.lists(PATHS, min_size=1, max_size=8), METHODS)
def test_the_table_finds_what_a_loop_over_all_routes_finds(
    routes: list[Route], paths: list[str], method: str
) -> None:
    table = RouteTable(routes, REST)

    for path in paths:
        assert found(table, path, method) == naive_find(routes, method, path)


@given(route_lists(), METHODS)
def test_a_path_that_a_rule_spells_out_is_found_like_any_other(
    routes: list[Route], method: str
) -> None:
    table = RouteTable(routes, REST)

    for path in {path for each in routes for path in each.paths if "*" not in path}:
        assert found(table, path, method) == naive_find(routes, method, path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/x/*", "/x", True),
        ("/x/*", "/x/", True),
        ("/x/*", "/x/y/z", True),
        ("/x/*", "/xy", False),
        ("/x", "/x/", False),
        ("/*", "/", True),
        ("/*", "/x/y", True),
        ("/", "/", True),
        ("/", "/x", False),
        ("/v*/health", "/v1/health", True),
        ("/v*/health", "/v/health", True),
        ("/v*/health", "/v1/2/health", False),
        ("/a/*.js", "/a/b.js", True),
        ("/a/*.js", "/a/b/c.js", False),
        ("/a.b", "/axb", False),
        ("/A", "/a", False),
        ("/caf%c3%a9", "/caf%C3%A9", True),
        ("/café", "/caf%C3%A9", True),
        ("/%61", "/a", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    table = RouteTable([route("it", pattern)], REST)

    assert (found(table, path) == "it") is matches


@pytest.mark.parametrize(
    "pattern", ["", "x", "*", "/a?b", "/a#b", "/a/../b", "/%2f", "/%zz", "/**"]
)
def test_patterns_that_can_match_no_path_are_refused(pattern: str) -> None:
    with pytest.raises(BadGlob):
        glob.normalise(pattern)


def test_off_wins_wherever_it_stands() -> None:
    table = RouteTable([route("all", "/*"), route("private", "/p/*", off=True)], REST)

    assert found(table, "/p/x") == "private"
    assert found(table, "/q") == "all"


def test_a_rule_for_get_takes_head_too() -> None:
    table = RouteTable([route("read", "/a", methods=["GET"])], REST)

    assert [found(table, "/a", m) for m in ("GET", "HEAD", "POST")] == ["read", "read", "rest"]


def test_what_is_no_path_goes_to_the_last_route() -> None:
    table = RouteTable([route("all", "/*")], REST)

    assert found(table, "*", "OPTIONS") == "rest"


def test_api_paths_keep_their_route_when_the_api_is_passed() -> None:
    table = ApiPassed([route("mixed", "/*")], REST)

    assert table.find(b"GET", b"/api/x") == route("mixed", "/*", off=True)
    assert table.find(b"GET", b"/x") == route("mixed", "/*")


def test_ten_thousand_routes_cost_what_ten_cost() -> None:
    def cost(count: int) -> float:
        table = RouteTable([route(f"r{n}", f"/api/v{n}/*") for n in range(count)], REST)
        path = b"/api/v%d/users/7" % (count - 1)
        return min(timeit(lambda: table.find(b"GET", path), number=2000) for _ in range(20))

    # A loop would cost a thousand times as much.
    assert cost(10_000) < 10 * cost(10)


def test_no_path_is_slow_to_match() -> None:
    table = RouteTable([route("stars", "/*a*a*a*a*a*a*a*a*b")], REST)

    assert timeit(lambda: found(table, "/" + "a" * 8000), number=1) < 1
