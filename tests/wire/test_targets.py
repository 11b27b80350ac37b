"""Paths in their one spelling, and the paths that have none."""

import pytest

from gateway.errors import MalformedRequest
from gateway.wire import target
from gateway.wire.message import Target


@pytest.mark.parametrize(
    ("spelled", "normal"),
    [
        pytest.param(b"/", b"/", id="root"),
        pytest.param(b"/a/b", b"/a/b", id="plain"),
        pytest.param(b"/a/b/", b"/a/b/", id="closing-slash"),
        pytest.param(b"//a///b", b"//a///b", id="empty-segments-stay"),
        pytest.param(b"/%61%2D%7e", b"/a-~", id="unreserved-are-decoded"),
        pytest.param(b"/%3b%2C", b"/%3B%2C", id="reserved-stay-escaped-in-capitals"),
        pytest.param(b"/;,", b"/;,", id="reserved-stay-as-they-are"),
        pytest.param(b"/caf%c3%a9", b"/caf%C3%A9", id="utf-8-in-capitals"),
        pytest.param(b"/%252e%252e", b"/%252e%252e", id="decoded-once-only"),
        pytest.param(b'/{a}|"b"^`<c>[d]', b"/%7Ba%7D%7C%22b%22%5E%60%3Cc%3E%5Bd%5D", id="escaped"),
        pytest.param(b"/%7Ba%7d", b"/%7Ba%7D", id="escaped-already"),
        pytest.param(b"/.well-known/...", b"/.well-known/...", id="dots-in-names"),
        pytest.param(b"/%2ehidden", b"/.hidden", id="escaped-dot-in-a-name"),
        pytest.param(b"/a%20b", b"/a%20b", id="space"),
    ],
)
def test_a_path_has_one_spelling(spelled: bytes, normal: bytes) -> None:
    assert target.normalise_path(spelled) == normal
    assert target.normalise_path(normal) == normal


@pytest.mark.parametrize(
    ("path", "why"),
    [
        pytest.param(b"", "slash", id="empty"),
        pytest.param(b"a", "slash", id="relative"),
        pytest.param(b"%2Fa", "slash", id="escaped-first-slash"),
        pytest.param(b"/..", "dot segment", id="dot-dot"),
        pytest.param(b"/a/./b", "dot segment", id="dot"),
        pytest.param(b"/%2e%2E/a", "dot segment", id="escaped-dots"),
        pytest.param(b"/..;a=b/c", "dot segment", id="dots-with-a-parameter"),
        pytest.param(b"/.;/c", "dot segment", id="dot-with-a-parameter"),
        pytest.param(b"/a%2fb", "escaped slash", id="escaped-slash"),
        pytest.param(b"/a%5cb", "escaped slash, backslash", id="escaped-backslash"),
        pytest.param(b"/a%00", "control", id="escaped-nul"),
        pytest.param(b"/a%1F", "control", id="escaped-control"),
        pytest.param(b"/a%7F", "control", id="escaped-delete"),
        pytest.param(b"/a%", "percent", id="percent-at-the-end"),
        pytest.param(b"/a%4", "percent", id="one-digit"),
        pytest.param(b"/a%g0", "percent", id="no-digit"),
        pytest.param(b"/a% 1", "percent", id="space-for-a-digit"),
        pytest.param(b"/a\\b", "character", id="backslash"),
        pytest.param(b"/a#b", "character", id="fragment"),
        pytest.param(b"/a?b", "character", id="question-mark"),
        pytest.param(b"/a b", "character", id="space"),
        pytest.param(b"/\xc3\xa9", "character", id="raw-utf-8"),
        pytest.param(b"/a\x00", "character", id="raw-nul"),
    ],
)
def test_a_path_that_readers_understand_differently_is_refused(path: bytes, why: str) -> None:
    with pytest.raises(MalformedRequest, match=why) as refused:
        target.normalise_path(path)

    assert refused.value.status == 400


def test_the_query_is_kept_as_it_came() -> None:
    assert target.origin_form(b"/a?b=%zz&c=/../?d") == Target(b"/a", b"b=%zz&c=/../?d")


def test_a_target_is_sent_on_with_its_question_mark_or_without() -> None:
    for raw in (b"/a", b"/a?", b"/a?b"):
        assert target.origin_form(raw).encode() == raw


@pytest.mark.parametrize("query", [b"a#b", b"a b", b"\xe9", b"a\x00", b"\x7f"])
def test_a_query_with_a_character_of_no_query_is_refused(query: bytes) -> None:
    with pytest.raises(MalformedRequest, match="query"):
        target.origin_form(b"/a?" + query)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"hub.test",
        b"hub.test:",
        b"hub.test:8080",
        b"127.0.0.1",
        b"[::1]",
        b"[::ffff:1.2.3.4]:80",
        b"under_score",
        b"caf%C3%A9.test",
    ],
)
def test_a_host_is_written_in_lower_case(value: bytes) -> None:
    assert target.host(value) == target.host(value.upper()) == value.lower()


@pytest.mark.parametrize(
    "value",
    [
        b":80",
        b"a b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a@b",
        b"a,b.test:1:2",
        b"a:b",
        b"a:123456",
        b"[::1",
        b"::1",
        b"[]",
        b"[::1]a",
        b"[v1.a]",
        b"a\\b",
        b"a%zz",
        b"\xe9",
        b"a\x00",
    ],
)
def test_what_is_no_host_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedRequest, match="Host"):
        target.host(value)
