"""Routes that ask for more than a path: hosts, fields, cookies, parameters, expressions."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rules import CacheRules
from gateway.routing import glob, hosts
from gateway.routing.access import AccessList
from gateway.routing.answers import Respond
from gateway.routing.conditions import Asked, BadRegex, Conditions, regex
from gateway.routing.route import Route
from gateway.routing.table import ApiPassed, RouteTable
from gateway.routing.trpc import BATCH, Batches
from gateway.routing.values import ABSENT, PRESENT, ValueTest
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, Target
from tests.routing.test_table import GLOBS, OFF, PATHS, REST, naive_match, route

GET = b"GET"


def one_of(name: str, *patterns: str) -> ValueTest:
    return ValueTest(name.encode(), patterns)


def asked(path: str = "/", query: str | None = None, host: str = "", **fields: str) -> Asked:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Asked(
        GET, path.encode(), None if query is None else query.encode(), host.encode(),
        Fields.of(*pairs),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "values", "holds"),
    [
        (("eu",), [b"eu"], True),
        (("eu",), [b"EU"], False),
        (("eu", "us"), [b"us"], True),
        (("eu-*",), [b"eu-west"], True),
        (("eu-*",), [b"eu-"], True),
        (("*-west",), [b"eu-west-1"], False),
        (("a*b*c",), [b"a\nbxxc"], True),
        ((PRESENT,), [b""], True),
        ((PRESENT,), [], False),
        ((ABSENT,), [], True),
        ((ABSENT,), [b"x"], False),
        ((ABSENT, "x"), [b"x"], True),
        (("b",), [b"a", b"b"], True),
        (("a.c",), [b"abc"], False),
        (("käse",), ["käse".encode()], True),
    ],
)
def test_values(patterns: Sequence[str], values: list[bytes], holds: bool) -> None:
    assert ValueTest(b"x", tuple(patterns)).holds(values) is holds


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("a.example", "a.example", True),
        ("a.example", "a.example:8080", True),
        ("a.example", "a.example.", True),
        ("a.example:80", "a.example:80", True),
        ("a.example:80", "a.example", False),
        ("a.example:80", "a.example:81", False),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example:80", True),
        ("*.example:80", "b.a.example:80", True),
        ("*.example", "example", False),
        ("*.example", "badexample", False),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::1]:8080", True),
        ("[::1]:8080", "[::1]:8080", True),
        ("[::1]:8080", "[::1]", False),
    ],
)
def test_hosts(pattern: str, host: str, matches: bool) -> None:
    table = RouteTable([replace(route("it"), when=Conditions(hosts=(pattern,)))], REST)

    assert (table.route(asked(host=host)).name == "it") is matches


def test_a_host_with_very_many_labels_costs_nothing() -> None:
    assert len(list(hosts.patterns_for(b"a." * 10_000 + b"a"))) == 1


@pytest.mark.parametrize(
    ("wide", "narrow", "contains"),
    [
        (b"a.b", b"a.b", True),
        (b"a.b", b"a.b:80", True),
        (b"a.b:80", b"a.b", False),
        (b"*.b", b"a.b", True),
        (b"*.b", b"c.a.b:80", True),
        (b"*.b", b"*.a.b", True),
        (b"*.a.b", b"*.b", False),
        (b"*.b", b"b", False),
        (b"*.b", b"ab", False),
    ],
)
def test_hosts_contain_hosts(wide: bytes, narrow: bytes, contains: bool) -> None:
    assert hosts.contains(wide, narrow) is contains


@pytest.mark.parametrize(
    ("conditions", "fits", "differs"),
    [
        (
            Conditions(headers=(one_of("x-region", "eu"),)),
            asked(X_Region="eu"),
            asked(X_Region="us"),
        ),
        (
            Conditions(cookies=(one_of("beta", "1"),)),
            asked(Cookie="a=2; beta=1"),
            asked(Cookie="alphabeta=1"),
        ),
        (Conditions(query=(one_of("p q", "a b"),)), asked(query="p+q=a%20b"), asked(query="p=a")),
        (Conditions(query=(one_of("v", PRESENT),)), asked(query="v"), asked()),
        (
            Conditions(path_regex="/v[0-9]+/.*"),
            asked("/v12/a"),
            asked("/x/v12/a"),
        ),
        (Conditions(excepted=("/a/b/*",)), asked("/a/c"), asked("/a/b/c")),
    ],
    ids=["header", "cookie", "decoded parameter", "parameter", "path_regex", "except"],
)
def test_what_a_condition_lets_through(conditions: Conditions, fits: Asked, differs: Asked) -> None:
    table = RouteTable([replace(route("it", "/*"), when=conditions), route("next", "/*")], REST)

    assert table.route(fits).name == "it"
    assert table.route(differs).name == "next"
    assert conditions.unmet(fits) == []
    assert len(conditions.unmet(differs)) == 1


def test_unmet_conditions_are_told_in_words() -> None:
    conditions = Conditions(
        hosts=("a.example",), headers=(one_of("x-a", "1", "2"),), path_regex="/z"
    )

    assert conditions.unmet(asked("/y", host="b.example")) == [
        "host: a.example",
        "path_regex: /z",
        "header: x-a: 1 or 2",
    ]


def test_an_expression_that_takes_more_than_linear_time_elsewhere_is_matched_at_once() -> None:
    assert regex("/(a*)*b").fullmatch(b"/" + b"a" * 5000) is None


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "[", "a{1000}{1000}"])
def test_what_is_not_linear_is_refused(pattern: str) -> None:
    with pytest.raises(BadRegex):
        regex(pattern)


def test_an_off_route_with_conditions_wins_over_a_broad_one_before_it() -> None:
    off = replace(
        route("off", "/*", off=True), when=Conditions(cookies=(one_of("session", PRESENT),))
    )
    table = RouteTable([route("all", "/*"), off], REST)

    assert table.route(asked(Cookie="session=1")).name == "off"
    assert table.route(asked()).name == "all"
    assert table.looks_at_cookies
    assert not RouteTable([route("all", "/*")], REST).looks_at_cookies


def test_a_route_that_answers_by_itself_keeps_its_place() -> None:
    answers = replace(route("answers", "/a/*", off=True), answer=Respond(410))
    table = RouteTable([route("first", "/a/b"), answers, route("off", "/a/c", off=True)], REST)

    assert [table.find(GET, path).name for path in (b"/a/b", b"/a/c", b"/a/d")] == [
        "first",
        "off",
        "answers",
    ]


VALUES = st.sampled_from(["1", "2", PRESENT, ABSENT, "*"])
TESTS = st.lists(st.builds(lambda value: ValueTest(b"x", (value,)), VALUES), max_size=1).map(tuple)
HOSTS = st.sampled_from(["", "a.b", "b", "c.a.b:80", "x"])
HOST_PATTERNS = st.lists(st.sampled_from(["a.b", "*.b", "x", "b", "*.a.b:80"]), max_size=2)


@st.composite
def conditional_routes(draw: st.DrawFn) -> list[Route]:
    return [
        replace(
            route(
                f"route-{number}",
                *draw(st.lists(GLOBS, max_size=2)),
                methods=draw(st.lists(st.sampled_from(["GET", "PUT"]), max_size=1)),
                off=draw(st.booleans()),
            ),
            when=Conditions(
                hosts=tuple(draw(HOST_PATTERNS)),
                headers=draw(TESTS),
                cookies=draw(TESTS),
                excepted=tuple(glob.normalise(each) for each in draw(st.lists(GLOBS, max_size=1))),
            ),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


def naive(routes: Sequence[Route], request: Asked) -> str:
    for each in sorted(routes, key=lambda one: not one.wins):
        when = each.when
        assert when is not None
        methods = set(each.methods) | ({"HEAD"} if "GET" in each.methods else set())
        path = request.path.decode()
        if (
            (not methods or request.method.decode() in methods)
            and (not each.paths or any(naive_match(one, path) for one in each.paths))
            and (not when.hosts or naive_host(when.hosts, request.host.decode()))
            and not any(naive_match(one, path) for one in when.excepted)
            and all(naive_test(t, request.fields.get(t.name)) for t in when.headers)
            and all(naive_test(t, naive_cookie(request, t.name)) for t in when.cookies)
        ):
            return each.name
    return "rest"


def naive_host(patterns: Sequence[str], host: str) -> bool:
    name = host.partition(":")[0]
    return bool(host) and any(
        (name.endswith(p.partition(":")[0][1:]) if p.startswith("*") else name == p)
        and (":" not in p or host.endswith(":" + p.partition(":")[2]))
        for p in patterns
    )


def naive_test(test: ValueTest, value: bytes | None) -> bool:
    (pattern,) = test.patterns
    if pattern == ABSENT or value is None:
        return pattern == ABSENT and value is None
    return pattern in {PRESENT, "*"} or value == pattern.encode()


def naive_cookie(request: Asked, name: bytes) -> bytes | None:
    cookie = request.fields.get(b"cookie")
    return None if cookie is None else cookie.removeprefix(name + b"=")


@given(
    conditional_routes(),
    PATHS,
    HOSTS,
    st.sampled_from([None, "1", "3"]),
    st.sampled_from([None, "1"]),
    st.sampled_from([b"GET", b"HEAD", b"PUT"]),
)
def test_the_table_finds_what_a_loop_over_all_conditions_finds(
    routes: list[Route],
    path: str,
    host: str,
    header: str | None,
    cookie: str | None,
    method: bytes,
) -> None:
    fields = {} if header is None else {"x": header}
    if cookie is not None:
        fields["cookie"] = f"x={cookie}"
    request = replace(asked(path, host=host, **fields), method=method)

    assert RouteTable(routes, REST).route(request).name == naive(routes, request)


def test_nothing_under_api_is_cached_when_that_is_switched_off_whatever_the_conditions() -> None:
    mixed = replace(route("mixed", "/*"), when=Conditions(hosts=("a.b",)))
    table = ApiPassed([mixed], REST)

    assert not table.route(asked("/api/x", host="a.b")).cache.enabled
    assert table.route(asked("/x", host="a.b")).cache.enabled


def head_of(path: str, query: str, **fields: str) -> RequestHead:
    pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
    target = Target(path.encode(), query.encode())
    return RequestHead(b"GET", target, 1, b"a.b", Fields.of(*pairs))


def batched(*routes: Route, path: str, **fields: str) -> Route:
    spoken = [replace(each, protocol="trpc") for each in routes]
    head = head_of(path, "batch=1", **fields)
    return Batches(RouteTable(spoken, REST)).route(b"GET", head.target, head)


def test_members_of_a_batch_are_matched_with_the_conditions_of_the_request() -> None:
    beta = replace(route("beta", "/api/a"), when=Conditions(cookies=(one_of("beta", "1"),)))

    assert batched(beta, path="/api/a,a", cookie="beta=1").name == "beta"
    assert batched(beta, path="/api/a,a").name == "rest"


def test_a_batch_is_no_way_around_an_access_list() -> None:
    inside = AccessList(deny=())
    closed = replace(route("closed", "/api/b"), access=(inside,))

    for path in ("/api/a,b", "/api/" + ",".join(["a"] * 200 + ["b"])):
        assert batched(route("open", "/api/a"), closed, path=path).access == (inside,)


def test_a_batch_is_no_way_around_a_fixed_answer() -> None:
    gone = replace(route("gone", "/api/b", off=True), answer=Respond(410))

    assert batched(route("open", "/api/a"), gone, path="/api/a,b").answer == Respond(410)


def test_a_batch_whose_members_are_treated_differently_is_not_cached() -> None:
    limited = replace(route("limited", "/api/b"), body_limit=10)
    found = batched(route("open", "/api/a"), limited, path="/api/a,b")

    assert (found.name, found.cache) == (BATCH, OFF)


def test_a_batch_with_a_member_that_depends_on_fields_is_not_cached() -> None:
    beta = replace(route("beta", "/api/b"), when=Conditions(cookies=(one_of("beta", "1"),)))

    found = batched(route("open", "/api/a"), beta, path="/api/a,b", cookie="beta=1")

    assert (found.name, found.cache) == (BATCH, OFF)


def test_groups_of_all_members_are_those_of_the_batch() -> None:
    first = replace(route("a", "/api/a"), groups=("x",))
    second = replace(route("b", "/api/b"), groups=("y", "x"))

    assert batched(first, second, path="/api/a,b").groups == ("x", "y")
    assert batched(first, second, path="/api/a,b").cache == CacheRules()
