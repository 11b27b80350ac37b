"""What was purged holds after a restart; what can't be read counts as everything."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.purge_book import PurgeBook
from gateway.policy.age import Arrival
from gateway.policy.stored import Filed, StoredResponse
from gateway.storage.purges import Kind, Mode, Purge
from tests.storage.responses import response

_PURGES = st.builds(
    Purge,
    st.sampled_from([Kind.GROUP, Kind.URL, Kind.PREFIX, Kind.PATTERN, Kind.HOST]),
    st.binary(min_size=1, max_size=20),
    st.binary(max_size=5),
    st.sampled_from(list(Mode)),
)


def asked_for(at: float, target: bytes = b"/a") -> StoredResponse:
    return replace(
        response(), arrival=Arrival(at, 0.0, at, at), filed=Filed(b"hub.test", target, "pages")
    )


_opened: list[PurgeBook] = []


def opened(path: Path) -> PurgeBook:
    book = PurgeBook()
    book.open(path)
    _opened.append(book)
    return book


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


@given(st.lists(st.tuples(_PURGES, st.floats(1.0, 2e9)), max_size=8))
def test_what_was_noted_is_known_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory, noted: list[tuple[Purge, float]]
) -> None:
    path = tmp_path_factory.mktemp("book") / "purges.jsonl"
    book = opened(path)
    for purge, at in noted:
        book.note([purge], at)
    before = book.history()
    book.close()

    again = opened(path)
    assert sorted(again.history(), key=repr) == sorted(before, key=repr)
    again.close()


def test_it_survives_a_process_that_never_closed_it(tmp_path: Path) -> None:
    book = opened(tmp_path / "purges.jsonl")
    book.note([Purge(Kind.URL, b"/a", mode=Mode.HARD)], 100.0)
    book.set_cursor("valkey", "5-1")

    again = opened(tmp_path / "purges.jsonl")
    assert again.purges.judge(asked_for(99.0)) is None
    assert again.purges.judge(asked_for(101.0)) is not None
    assert again.cursors == {"valkey": "5-1"}


def test_a_last_line_that_was_cut_off_is_nothing_and_the_rest_holds(tmp_path: Path) -> None:
    path = tmp_path / "purges.jsonl"
    book = opened(path)
    book.note([Purge(Kind.URL, b"/a", mode=Mode.HARD)], 100.0)
    book.note([Purge(Kind.URL, b"/b", mode=Mode.HARD)], 100.0)
    book.close()
    path.write_bytes(path.read_bytes()[:-20])

    again = opened(path)
    assert again.purges.judge(asked_for(99.0)) is None
    assert again.purges.judge(asked_for(99.0, b"/b")) is not None
    again.close()


def test_damage_in_the_middle_counts_as_a_purge_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "purges.jsonl"
    book = opened(path)
    book.note([Purge(Kind.URL, b"/a", mode=Mode.HARD)], 100.0)
    book.note([Purge(Kind.URL, b"/b", mode=Mode.HARD)], 100.0)
    book.close()
    path.write_bytes(b"\x00" + path.read_bytes()[1:])

    again = opened(path)
    assert again.purges.judge(asked_for(101.0, b"/elsewhere")) is None
    again.close()
    # And it is said once: what is written now is whole.
    assert opened(path).purges.judge(asked_for(4e9, b"/elsewhere")) is not None


def test_many_purges_of_the_same_take_little_room(tmp_path: Path) -> None:
    path = tmp_path / "purges.jsonl"
    book = opened(path)
    for number in range(60_000):
        book.note([Purge(Kind.GROUP, b"org:%d" % (number % 10))], float(number))
    book.close()
    opened(path).close()

    assert path.stat().st_size < 10_000


def test_what_could_not_be_written_is_written_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    book = opened(folder / "purges.jsonl")
    book.close()
    folder.rename(tmp_path / "away")
    book.note([Purge(Kind.URL, b"/a", mode=Mode.HARD)], 100.0)
    (tmp_path / "away").rename(folder)
    book.note([Purge(Kind.URL, b"/b", mode=Mode.HARD)], 100.0)
    book.close()

    again = opened(folder / "purges.jsonl")
    assert again.purges.judge(asked_for(99.0)) is None
    assert again.purges.judge(asked_for(99.0, b"/b")) is None
    again.close()
