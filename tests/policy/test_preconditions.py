import pytest

from gateway.policy.preconditions import Outcome, evaluate, not_modified_fields
from tests.policy.messages import bare, date, fields

TAGGED = [("ETag", '"a"'), ("Last-Modified", date(-100)), ("Date", date(0))]
WEAK = [("ETag", 'W/"a"')]
UNTAGGED = [("Last-Modified", date(-100)), ("Date", date(0))]


@pytest.mark.parametrize(
    ("kept", "asked", "outcome"),
    [
        pytest.param(TAGGED, [], Outcome.PROCEED, id="unconditional"),
        pytest.param(TAGGED, [("If-None-Match", '"a"')], Outcome.NOT_MODIFIED, id="same-tag"),
        pytest.param(TAGGED, [("If-None-Match", '"b"')], Outcome.PROCEED, id="other-tag"),
        pytest.param(TAGGED, [("If-None-Match", 'W/"a"')], Outcome.NOT_MODIFIED, id="weak-asked"),
        pytest.param(WEAK, [("If-None-Match", '"a"')], Outcome.NOT_MODIFIED, id="weak-kept"),
        pytest.param(WEAK, [("If-None-Match", 'W/"a"')], Outcome.NOT_MODIFIED, id="weak-both"),
        pytest.param(TAGGED, [("If-None-Match", "*")], Outcome.NOT_MODIFIED, id="any"),
        pytest.param(UNTAGGED, [("If-None-Match", "*")], Outcome.NOT_MODIFIED, id="any-untagged"),
        pytest.param(UNTAGGED, [("If-None-Match", '"a"')], Outcome.PROCEED, id="no-tag"),
        pytest.param(
            TAGGED, [("If-None-Match", '"b", "a"')], Outcome.NOT_MODIFIED, id="second-of-list"
        ),
        pytest.param(
            TAGGED,
            [("If-None-Match", '"b"'), ("If-None-Match", 'W/"a"')],
            Outcome.NOT_MODIFIED,
            id="second-line",
        ),
        pytest.param(
            [("ETag", '"x, y"')], [("If-None-Match", '"x'), ("If-None-Match", 'y"')],
            Outcome.NOT_MODIFIED, id="comma-in-tag",
        ),
        pytest.param(TAGGED, [("If-None-Match", "a")], Outcome.PROCEED, id="unquoted"),
        pytest.param(
            [("ETag", "a")], [("If-None-Match", "a")], Outcome.NOT_MODIFIED, id="unquoted-both"
        ),
        pytest.param(
            TAGGED,
            [("If-None-Match", '"b"'), ("If-Modified-Since", date(0))],
            Outcome.PROCEED,
            id="tag-over-date",
        ),
        pytest.param(
            TAGGED, [("If-Modified-Since", date(-100))], Outcome.NOT_MODIFIED, id="same-date"
        ),
        pytest.param(
            UNTAGGED, [("If-Modified-Since", date(-50))], Outcome.NOT_MODIFIED, id="later-date"
        ),
        pytest.param(UNTAGGED, [("If-Modified-Since", date(-101))], Outcome.PROCEED, id="earlier"),
        pytest.param(UNTAGGED, [("If-Modified-Since", "x")], Outcome.PROCEED, id="no-date"),
        pytest.param(
            [("Last-Modified", "x")], [("If-Modified-Since", "x")], Outcome.NOT_MODIFIED,
            id="no-date-either-side-but-the-same",
        ),
        pytest.param(
            [("Date", date(0))], [("If-Modified-Since", date(0))], Outcome.NOT_MODIFIED,
            id="date-for-want-of-last-modified",
        ),
        pytest.param(
            [("Date", date(0))], [("If-Modified-Since", date(-1))], Outcome.PROCEED,
            id="older-than-date",
        ),
        pytest.param(TAGGED, [("If-Match", '"a"')], Outcome.PROCEED, id="if-match"),
        pytest.param(TAGGED, [("If-Match", "*")], Outcome.PROCEED, id="if-match-any"),
        pytest.param(TAGGED, [("If-Match", '"b"')], Outcome.FAILED, id="if-match-other"),
        pytest.param(WEAK, [("If-Match", 'W/"a"')], Outcome.FAILED, id="if-match-weak"),
        pytest.param(
            TAGGED, [("If-Unmodified-Since", date(-101))], Outcome.FAILED, id="modified-since"
        ),
        pytest.param(
            TAGGED, [("If-Unmodified-Since", date(-100))], Outcome.PROCEED, id="unmodified-since"
        ),
        pytest.param(
            TAGGED,
            [("If-Match", '"b"'), ("If-None-Match", '"a"')],
            Outcome.FAILED,
            id="if-match-first",
        ),
    ],
)  # fmt: skip
def test_preconditions_are_judged_in_order(
    kept: list[tuple[str, str]], asked: list[tuple[str, str]], outcome: Outcome
) -> None:
    assert evaluate(fields(*asked), bare(*kept)) is outcome


@pytest.mark.parametrize("status", [301, 404, 503])
def test_only_a_success_has_preconditions(status: int) -> None:
    kept = bare(("ETag", '"a"'), status=status)

    assert evaluate(fields(("If-None-Match", '"a"')), kept) is Outcome.PROCEED


def test_a_304_carries_what_updates_a_cache_and_no_more() -> None:
    kept = bare(
        *TAGGED,
        ("Cache-Control", "max-age=9"),
        ("Content-Location", "/x"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "4"),
        ("Expires", date(9)),
        ("Vary", "Foo"),
        ("Access-Control-Allow-Origin", "*"),
    )

    assert {name for name, _, _ in not_modified_fields(kept)} == {
        b"etag",
        b"date",
        b"cache-control",
        b"content-location",
        b"expires",
        b"vary",
        b"access-control-allow-origin",
    }


def test_a_304_without_etag_carries_last_modified() -> None:
    assert b"last-modified" in not_modified_fields(bare(*UNTAGGED))
