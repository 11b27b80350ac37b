"""What routes do besides caching: lists, changes, answers, templates."""

import math
from ipaddress import ip_network

import pytest

from gateway.errors import MalformedRequest
from gateway.routing.access import AccessList
from gateway.routing.answers import Redirect, Respond, Rewrite, is_path, unknown_placeholders
from gateway.routing.changes import UNCHANGED, changes
from gateway.routing.identity import ANONYMOUS, Identity
from gateway.routing.templates import groups
from gateway.wire.fields import Fields
from gateway.wire.message import Target


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ([], [], b"192.0.2.1", True),
        (["192.0.2.0/24"], [], b"192.0.2.1", True),
        (["192.0.2.0/24"], [], b"198.51.100.1", False),
        (["192.0.2.0/24"], [], b"::ffff:192.0.2.1", True),
        (["192.0.2.0/24"], ["192.0.2.7/32"], b"192.0.2.7", False),
        ([], ["192.0.2.0/24"], b"::ffff:192.0.2.1", False),
        ([], ["192.0.2.0/24"], b"198.51.100.1", True),
        (["2001:db8::/32"], [], b"2001:db8::1", True),
        (["fe80::/10"], [], b"fe80::1%eth0", True),
        ([], [], b"unknown", False),
        ([], [], b"", False),
        ([], [], b"\xff", False),
    ],
)
def test_access(allow: list[str], deny: list[str], address: bytes, admitted: bool) -> None:
    access = AccessList(
        tuple(ip_network(each) for each in allow), tuple(ip_network(each) for each in deny)
    )

    assert access.admits(address) is admitted


def test_fields_are_removed_and_set_in_place_of_what_was_there() -> None:
    fields = Fields.of((b"Server", b"x"), (b"x-frame-options", b"a"), (b"Accept", b"b"))

    changed = changes(("server",), (("X-Frame-Options", "DENY"),)).apply(fields)

    assert changed == Fields.of((b"Accept", b"b"), (b"X-Frame-Options", b"DENY"))
    assert UNCHANGED.apply(fields) is fields


@pytest.mark.parametrize(
    ("to", "path", "query", "location"),
    [
        ("/new{rest}", b"/old/a/b", None, b"/new/a/b"),
        ("/new{rest}", b"/old", None, b"/new"),
        ("https://x.example{path}", b"/old/a", b"q=1", b"https://x.example/old/a?q=1"),
        ("/s?from={path}", b"/old/a", b"q=1", b"/s?from=/old/a&q=1"),
        ("{rest}", b"/old//evil.example", None, b"/evil.example"),
    ],
)
def test_redirects(to: str, path: bytes, query: bytes | None, location: bytes) -> None:
    redirect = Redirect(to)

    assert redirect.location(("/old/*",), Target(path, query)) == location


def test_a_redirect_may_leave_the_query_behind() -> None:
    answer = Redirect("/new", 308, keeps_query=False).respond(("/a",), Target(b"/a", b"q"))

    assert answer == Respond(308, b"", Fields.of((b"Location", b"/new")))


def test_a_rewrite_changes_the_path_and_keeps_the_query() -> None:
    rewrite = Rewrite("/v2{rest}")

    assert rewrite.target(("/v1/*",), Target(b"/v1/a", b"q")) == Target(b"/v2/a", b"q")
    assert rewrite.target(("/v1/*",), Target(b"/v1", None)) == Target(b"/v2", None)
    assert Rewrite("{rest}").target(("/v1/*",), Target(b"/v1", None)) == Target(b"/", None)


def test_a_rewrite_never_makes_a_path_with_dots() -> None:
    with pytest.raises(MalformedRequest):
        Rewrite("/.{rest}").target(("/v1/*",), Target(b"/v1", None))


def test_templates_are_checked() -> None:
    assert unknown_placeholders("/{path}{rst}{}") == ["rst", ""]
    assert [is_path(each) for each in ("/a{rest}", "a", "/a?b", "/../a")] == [
        True,
        False,
        False,
        False,
    ]


def test_groups_are_named_for_who_asked_and_left_out_where_nobody_did() -> None:
    templates = ("org:{org}", "{route}", "u:{user}", "{host}{path}", "org:{org}", "plain")
    known = Identity(user=None, org=b"a}{route", expires=math.inf)

    assert groups(templates, known, "lists", b"h", b"/p") == (
        b"org:a}{route",
        b"lists",
        b"h/p",
        b"plain",
    )
    assert groups(templates, ANONYMOUS, "lists", b"h", b"/p") == (b"lists", b"h/p", b"plain")
