from dataclasses import fields as attributes
from itertools import permutations

import pytest

from gateway.policy.rules import CacheRules, Heuristic, QueryRules, Scope
from gateway.routing import trpc
from gateway.routing.route import Route
from gateway.wire.message import Target
from gateway.wire.target import origin_form

LISTS = CacheRules(scope=Scope.ORG, lifetime=60.0, stale_while_revalidate=300.0)
REPORTS = CacheRules(scope=Scope.USER, lifetime=300.0, stale_while_revalidate=30.0)
NEWS = CacheRules(scope=Scope.PUBLIC, lifetime=600.0, stale_while_revalidate=30.0)
OFF = CacheRules(enabled=False)


@pytest.mark.parametrize(
    ("target", "members"),
    [
        pytest.param("/api/trpc/a.b,c.d?batch=1", ("a.b", "c.d"), id="two"),
        pytest.param("/api/trpc/a.b?batch=1", ("a.b",), id="a-batch-of-one"),
        pytest.param("/api/trpc/a.b,a.b?batch=1&input=%7B%7D", ("a.b", "a.b"), id="the-same-twice"),
        pytest.param("/api/trpc/a.b%2Cc.d?batch=1", ("a.b", "c.d"), id="an-encoded-comma"),
        pytest.param("/api/trpc/a.b,c.d?%62atch=1", ("a.b", "c.d"), id="an-encoded-name"),
        pytest.param("/api/trpc/a.b,?batch=1", ("a.b", ""), id="a-nameless-member"),
        pytest.param("/api/trpc/a.b,c.d", None, id="no-query"),
        pytest.param("/api/trpc/a.b,c.d?batch=0", None, id="another-batch"),
        pytest.param("/api/trpc/a.b,c.d?mybatch=1", None, id="another-name"),
    ],
)
def test_a_batch_is_split_into_the_paths_of_its_members(
    target: str, members: tuple[str, ...] | None
) -> None:
    found = trpc.members(origin_form(target.encode()))

    expected = None if members is None else tuple(f"/api/trpc/{m}".encode() for m in members)
    assert found == expected


LIST = Route("list", "hub", LISTS)
ROUTES = {
    "list": LIST,
    "more": LIST,
    "report": Route("report", "hub", REPORTS),
    "news": Route("news", "elsewhere", NEWS),
}
REST = Route("rest", "hub", OFF)


def find(path: bytes) -> Route:
    return ROUTES.get(path.rpartition(b"/")[2].decode(), REST)


def batch(*names: str) -> Target:
    return origin_form(f"/api/trpc/{','.join(names)}?batch=1".encode())


def test_a_batch_within_one_route_is_that_route() -> None:
    assert trpc.route_of(batch("list", "more"), find) is LIST


def test_a_batch_over_two_routes_holds_what_holds_for_both() -> None:
    route = trpc.route_of(batch("list", "report"), find)

    assert route is not None
    assert (route.name, route.origin) == (trpc.BATCH, "hub")
    assert route.cache == CacheRules(scope=Scope.MEMBER, lifetime=60.0, stale_while_revalidate=30.0)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["list", "private"], id="a-member-that-is-never-cached"),
        pytest.param(["list", ""], id="a-member-without-a-name"),
        pytest.param(["list", "news"], id="two-origins"),
        pytest.param(["list"] * (trpc.MOST_MEMBERS + 1), id="too-many"),
    ],
)
def test_a_batch_with_a_member_that_may_not_be_cached_is_not(names: list[str]) -> None:
    for order in (names, names[::-1]):
        route = trpc.route_of(batch(*order), find)
        assert route is not None
        assert not route.cache.enabled


def test_what_is_no_batch_has_no_batch_route() -> None:
    assert trpc.route_of(origin_form(b"/api/trpc/list,report"), find) is None


@pytest.mark.parametrize(
    ("scopes", "narrowest"),
    [
        ([Scope.PUBLIC, Scope.ORG], Scope.ORG),
        ([Scope.PUBLIC, Scope.USER], Scope.USER),
        ([Scope.ORG, Scope.USER], Scope.MEMBER),
        ([Scope.PUBLIC, Scope.ORG, Scope.USER], Scope.MEMBER),
        ([Scope.PUBLIC, Scope.SHARED], Scope.MEMBER),
        ([Scope.SHARED, Scope.ORG], Scope.MEMBER),
    ],
)
def test_a_batch_is_shared_no_further_than_its_narrowest_member(
    scopes: list[Scope], narrowest: Scope
) -> None:
    for order in permutations(scopes):
        rules = [CacheRules(scope=scope, lifetime=1.0) for scope in order]
        assert trpc.combined(rules).scope is narrowest


def test_every_duration_is_the_shortest_and_every_permission_everybodys() -> None:
    one = CacheRules(
        lifetime=60.0,
        browser_lifetime=30.0,
        immutable=True,
        status_lifetimes={404: 10.0, 410: 60.0},
        query=QueryRules(sort=True, ignore=("utm_*",)),
        key_headers=(b"x-b",),
        key_cookies=(b"theme",),
        stale_while_revalidate=100.0,
        stale_if_error_for=100.0,
        stale_if_error_after=1.0,
        stale_if_gone=5.0,
        jitter=0.1,
        heuristic=Heuristic(0.1, 100.0),
        early_refresh=1.0,
        whole_for_range=True,
        vary_exact=frozenset({b"accept"}),
        vary_bypass=frozenset({b"cookie"}),
        overrides=frozenset({"private", "set-cookie"}),
    )
    other = CacheRules(
        lifetime=50.0,
        browser_lifetime=40.0,
        status_lifetimes={404: 20.0},
        key_headers=(b"x-a", b"x-b"),
        stale_while_revalidate=90.0,
        stale_if_error_for=200.0,
        stale_if_error_after=2.0,
        stale_if_gone=6.0,
        jitter=0.2,
        heuristic=Heuristic(0.2, 90.0),
        early_refresh=2.0,
        overrides=frozenset({"private"}),
    )

    expected = CacheRules(
        lifetime=50.0,
        browser_lifetime=30.0,
        status_lifetimes={404: 10.0},
        key_headers=(b"x-a", b"x-b"),
        key_cookies=(b"theme",),
        stale_while_revalidate=90.0,
        stale_if_error_for=100.0,
        stale_if_error_after=2.0,
        stale_if_gone=5.0,
        jitter=0.2,
        heuristic=Heuristic(0.1, 90.0),
        early_refresh=1.0,
        vary_exact=frozenset({b"accept"}),
        vary_bypass=frozenset({b"cookie"}),
        overrides=frozenset({"private"}),
    )
    assert trpc.combined([one, other]) == trpc.combined([other, one]) == expected
    assert trpc.combined([one, one]) is one


def test_a_duration_that_one_member_leaves_to_the_origin_is_not_guessed() -> None:
    ours = CacheRules(lifetime=60.0, stale_while_revalidate=10.0, stale_if_error_after=1.0)
    silent = CacheRules(lifetime=60.0)
    origins = CacheRules(stale_while_revalidate=10.0)

    assert not trpc.combined([ours, origins]).enabled
    mixed = trpc.combined([ours, silent])
    assert (mixed.stale_while_revalidate, mixed.stale_if_error_after) == (0.0, None)
    assert trpc.combined([silent, CacheRules(lifetime=70.0)]).stale_while_revalidate is None


def test_no_attribute_of_the_rules_is_forgotten() -> None:
    """A new attribute has to be thought of in `combined`, and then here."""
    assert len(attributes(CacheRules)) == 21


def test_a_batch_is_of_the_type_that_any_member_asks_for_and_of_two_it_cannot_be() -> None:
    json_alone = CacheRules(lifetime=60.0, content_types=("application/json",))
    anything = CacheRules(lifetime=50.0)
    pictures = CacheRules(lifetime=60.0, content_types=("image/*",))

    assert trpc.combined([json_alone, anything]).content_types == ("application/json",)
    assert trpc.combined([anything, json_alone]).content_types == ("application/json",)
    assert not trpc.combined([json_alone, pictures]).enabled
