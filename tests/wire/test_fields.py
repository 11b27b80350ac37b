"""Field lines: compared in lower case, kept in order and as they were spelled."""

import pytest

from gateway.wire.fields import NONE, Fields, elements, line

SOME = Fields.of((b"Accept", b"a"), (b"X-One", b"1"), (b"accept", b"b"), (b"Empty", b""))


def test_lines_of_one_name_are_joined_in_order() -> None:
    assert SOME.get(b"accept") == b"a, b"
    assert SOME.every(b"accept") == [b"a", b"b"]


def test_cookies_that_came_in_several_lines_are_joined_as_cookies_are() -> None:
    assert Fields.of((b"Cookie", b"a=1"), (b"cookie", b"b=2")).get(b"cookie") == b"a=1; b=2"


def test_an_empty_value_is_there_and_an_absent_one_is_not() -> None:
    assert SOME.get(b"empty") == b""
    assert b"empty" in SOME
    assert SOME.get(b"missing") is None
    assert b"missing" not in SOME
    assert SOME.every(b"missing") == []


def test_changes_make_new_fields_and_leave_the_old_ones() -> None:
    before = list(SOME)

    assert [name for _, name, _ in SOME.without({b"accept"})] == [b"X-One", b"Empty"]
    assert list(SOME.plus(line(b"X-Two", b"2")))[-1] == (b"x-two", b"X-Two", b"2")
    assert SOME.replaced(b"ACCEPT", b"c").every(b"accept") == [b"c"]
    assert SOME.replaced(b"New", b"n").get(b"new") == b"n"
    assert list(SOME) == before


def test_fields_are_equal_when_their_lines_are() -> None:
    same = Fields(SOME.lines)

    assert same == SOME
    assert hash(same) == hash(SOME)
    assert Fields.of((b"Accept", b"a")) != SOME
    assert SOME.lines != SOME
    assert (len(SOME), len(NONE)) == (4, 0)


def test_lines_go_over_the_wire_as_they_were_spelled() -> None:
    assert SOME.encode() == b"Accept: a\r\nX-One: 1\r\naccept: b\r\nEmpty: \r\n"
    assert "b'X-One': b'1'" in repr(SOME)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (b"", []),
        (b" , ,\t,", []),
        (b"a", [b"a"]),
        (b"a,b", [b"a", b"b"]),
        (b" a ,\tb\t, ,c d", [b"a", b"b", b"c d"]),
    ],
)
def test_a_list_is_its_elements_without_the_empty_ones(value: bytes, items: list[bytes]) -> None:
    assert elements(value) == items
