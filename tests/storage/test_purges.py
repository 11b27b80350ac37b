"""Purges: what they reach, how far, and what is remembered of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.stored import Filed, StoredResponse
from gateway.storage import purges as module
from gateway.storage.purges import Kind, Mode, Purge, Purges
from tests.policy.messages import NOON, stored

HERE = Filed(b"hub.test", b"/blog/a?page=2", "blog", (b"org:1",))


def a_response(*, at: float = 0.0, lifetime: float = 60.0) -> StoredResponse:
    """Return what was asked for *at* seconds after noon."""
    made = stored(("Cache-Control", "max-age=60"), at=NOON + at)
    return replace(made, filed=HERE, groups=(b"post", b"tag:x"), lifetime=lifetime)


def after(purge: Purge, *, at: float = 10.0, kept: StoredResponse | None = None) -> object:
    """Return what is left of a response when *purge* came *at* seconds after noon."""
    purges = Purges()
    purges.apply(purge, NOON + at)
    return purges.judge(kept or a_response())


REACHING = [
    Purge(Kind.ALL),
    Purge(Kind.ALL, host=b"hub.test"),
    Purge(Kind.HOST, b"hub.test"),
    Purge(Kind.ROUTE, b"blog"),
    Purge(Kind.URL, b"/blog/a?page=2"),
    Purge(Kind.URL, b"/blog/a?page=2", b"hub.test"),
    Purge(Kind.GROUP, b"post"),
    Purge(Kind.GROUP, b"tag:x", b"hub.test"),
    Purge(Kind.GROUP, b"org:1"),
    Purge(Kind.PREFIX, b"/blog/"),
    Purge(Kind.PREFIX, b"/", b"hub.test"),
    Purge(Kind.PATTERN, b"/blog/*"),
    Purge(Kind.PATTERN, b"*a?page=*"),
]
MISSING = [
    Purge(Kind.ALL, host=b"other.test"),
    Purge(Kind.HOST, b"other.test"),
    Purge(Kind.ROUTE, b"post"),
    Purge(Kind.URL, b"/blog/a"),
    Purge(Kind.URL, b"/blog/a?page=2", b"other.test"),
    Purge(Kind.GROUP, b"pos"),
    Purge(Kind.GROUP, b"post", b"other.test"),
    Purge(Kind.PREFIX, b"/blog/b"),
    Purge(Kind.PREFIX, b"blog"),
    Purge(Kind.PREFIX, b"/blog/", b"other.test"),
    Purge(Kind.PATTERN, b"/blog/"),
    Purge(Kind.PATTERN, b"/blog/*=3"),
]


def name(purge: Purge) -> str:
    return f"{purge.kind}-{purge.value.decode()}-{purge.host.decode()}"


@pytest.mark.parametrize("purge", REACHING, ids=name)
def test_a_hard_purge_of_its_names_takes_a_response_away(purge: Purge) -> None:
    assert after(replace(purge, mode=Mode.HARD)) is None


@pytest.mark.parametrize("purge", MISSING, ids=name)
def test_a_purge_of_other_names_leaves_the_response_itself(purge: Purge) -> None:
    kept = a_response()
    assert after(replace(purge, mode=Mode.HARD), kept=kept) is kept


def test_a_soft_purge_makes_it_stale_from_then_on() -> None:
    left = after(Purge(Kind.GROUP, b"post"), at=10.0)

    assert isinstance(left, StoredResponse)
    assert (left.lifetime, left.invalid) == (10.0, False)


def test_a_purge_never_makes_fresh_what_was_stale() -> None:
    left = after(Purge(Kind.GROUP, b"post"), at=10.0, kept=a_response(lifetime=5.0))

    assert isinstance(left, StoredResponse)
    assert left.lifetime == 5.0


def test_what_must_be_validated_is_marked() -> None:
    left = after(Purge(Kind.GROUP, b"post", mode=Mode.VALIDATE))

    assert isinstance(left, StoredResponse)
    assert left.invalid


def test_what_was_asked_for_later_is_untouched() -> None:
    kept = a_response(at=11.0)
    assert after(Purge(Kind.ALL, mode=Mode.HARD), at=10.0, kept=kept) is kept


def test_a_softer_purge_does_not_take_a_harder_one_back() -> None:
    purges = Purges()
    purges.apply(Purge(Kind.URL, HERE.target, mode=Mode.HARD), NOON + 1)
    purges.apply(Purge(Kind.URL, HERE.target, mode=Mode.SOFT), NOON + 2)

    assert purges.judge(a_response()) is None


def test_judging_twice_changes_nothing_more() -> None:
    purges = Purges()
    purges.apply(Purge(Kind.GROUP, b"post", mode=Mode.VALIDATE), NOON + 10)
    once = purges.judge(a_response())
    assert once is not None

    assert purges.judge(once) is once


def test_names_beyond_those_remembered_count_as_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    purges = Purges()
    for number, group in enumerate((b"a", b"b", b"c")):
        purges.apply(Purge(Kind.GROUP, group, mode=Mode.HARD), NOON + number + 1)

    assert purges.judge(a_response(at=0.5)) is None
    kept = a_response(at=1.5)
    assert purges.judge(kept) is kept


def test_patterns_beyond_those_remembered_count_as_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PATTERNS", 1)
    purges = Purges()
    purges.apply(Purge(Kind.PREFIX, b"/x", mode=Mode.HARD), NOON + 1)
    purges.apply(Purge(Kind.PREFIX, b"/y", mode=Mode.HARD), NOON + 2)

    assert purges.judge(a_response(at=0.5)) is None


PURGES = st.sampled_from([replace(each, mode=mode) for each in REACHING + MISSING for mode in Mode])


@given(told=st.lists(st.tuples(PURGES, st.integers(1, 20)), max_size=8), asked=st.integers(0, 20))
def test_a_successor_judges_as_its_predecessor_did(
    told: list[tuple[Purge, int]], asked: int
) -> None:
    first, second = Purges(), Purges()
    for purge, at in told:
        first.apply(purge, NOON + at)
    for purge, instant in first.history():
        second.apply(purge, instant)

    kept = a_response(at=float(asked))
    assert first.judge(kept) == second.judge(kept)
