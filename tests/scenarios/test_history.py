"""What the scenarios would see if it happened: each wrong answer is told from a right one."""

import pytest

from tests.scenarios import content
from tests.scenarios.content import Asker
from tests.scenarios.history import Asked, Changed, History, Outcome, Purged, faults, lost

ANN = Asker("ann", "acme", "token")
MINE = content.body("/user/1", "ann", 3)
SHARED = content.body("/public/1", content.NOBODY, 3)


def told(key: str, status: int, tag: str, found: bytes, span: str | None = None) -> str | None:
    return content.read(key, ANN, status, tag, span, found).fault


@pytest.mark.parametrize(
    ("key", "status", "tag", "found", "span"),
    [
        pytest.param("/user/1", 200, '"3.ann"', MINE, None, id="mine"),
        pytest.param("/public/1", 200, '"3.nobody"', SHARED, None, id="everybodys"),
        pytest.param("/org/1", 304, '"9.acme"', b"", None, id="not-modified"),
        pytest.param("/user/1", 206, '"3.ann"', MINE[5:9], f"bytes 5-8/{len(MINE)}", id="a-part"),
    ],
)
def test_a_right_answer_has_no_fault(
    key: str, status: int, tag: str, found: bytes, span: str | None
) -> None:
    assert told(key, status, tag, found, span) is None


@pytest.mark.parametrize(
    ("key", "status", "tag", "found", "span", "fault"),
    [
        pytest.param("/user/2", 200, '"3.ann"', MINE, None, "of /user/1", id="another-key"),
        pytest.param(
            "/user/1",
            200,
            '"3.bob"',
            content.body("/user/1", "bob", 3),
            None,
            "of bob, asked for by ann",
            id="another-identity",
        ),
        pytest.param(
            "/public/1",
            200,
            '"3.ann"',
            content.body("/public/1", "ann", 3),
            None,
            "of ann, asked for by nobody",
            id="somebodys-for-everybody",
        ),
        pytest.param("/user/1", 200, '"3.ann"', MINE[:-1], None, "cut short", id="cut-short"),
        pytest.param("/user/1", 200, '"3.ann"', MINE + b"x", None, "mixed", id="too-long"),
        pytest.param(
            "/user/1",
            200,
            '"3.ann"',
            MINE[:500] + content.body("/user/1", "ann", 4)[500:],
            None,
            "mixed",
            id="two-versions-mixed",
        ),
        pytest.param("/user/1", 200, '"4.ann"', MINE, None, "the head of", id="another-head"),
        pytest.param("/user/1", 200, '"3.ann"', b"", None, "doesn't say", id="nothing"),
        pytest.param("/user/1", 304, '"3.bob"', b"", None, "another than ann", id="anothers-tag"),
        pytest.param(
            "/user/1", 206, '"3.ann"', MINE[6:10], f"bytes 5-8/{len(MINE)}", "else", id="shifted"
        ),
        pytest.param("/user/1", 206, '"3.ann"', MINE, None, "Content-Range", id="no-range"),
        pytest.param("/user/1", 403, '"3.ann"', b"", None, "status 403", id="no-reason"),
    ],
)
def test_a_wrong_answer_is_told(
    key: str, status: int, tag: str, found: bytes, span: str | None, fault: str
) -> None:
    assert fault in (told(key, status, tag, found, span) or "")


def asked(begun: float, version: int, outcome: Outcome = Outcome.ANSWERED) -> Asked:
    return Asked(begun, begun + 1, "ann", "/public/1", outcome, version=version, word="HIT")


def test_what_was_purged_before_it_was_asked_for_is_told() -> None:
    purged = [Purged(10.0, {"/public/1": 4})]
    before, crossing, after = asked(9.0, 3), asked(10.0, 3), asked(10.5, 3)

    assert faults(History([before, crossing, asked(11.0, 4)], purged), longest_stale=9) == []
    (fault,) = faults(History([after], purged), longest_stale=9)
    assert "version 3 (HIT) was purged 0.500 s before, in favour of 4" in fault


def test_what_is_staler_than_the_rules_allow_is_told() -> None:
    changed = [Changed(10.0, "/public/1", 4)]

    assert faults(History([asked(14.0, 3), asked(99.0, 4)], [], changed), longest_stale=5) == []
    (fault,) = faults(History([asked(16.0, 3)], [], changed), longest_stale=5)
    assert "was replaced 6.0 s before" in fault


def test_a_client_that_waits_for_ever_is_told() -> None:
    (fault,) = faults(History([asked(1.0, 0, Outcome.HUNG)]), longest_stale=5)

    assert "nothing for a long time" in fault


@pytest.mark.parametrize("outcome", [Outcome.BROKEN, Outcome.FAILED, Outcome.HUNG])
def test_a_request_without_a_complete_answer_is_lost(outcome: Outcome) -> None:
    assert len(lost(History([asked(1.0, 0, outcome)]))) == 1


def test_a_request_that_crossed_the_end_of_an_idle_connection_is_not_lost() -> None:
    crossed = Asked(1.0, 1.0, "ann", "/a", Outcome.UNANSWERED, fresh_connection=False)
    fresh = Asked(1.0, 1.0, "ann", "/a", Outcome.UNANSWERED, fresh_connection=True)

    assert lost(History([crossed])) == []
    assert len(lost(History([fresh]))) == 1
