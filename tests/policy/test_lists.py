import time

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import lists


def test_commas_in_quoted_strings_belong_to_their_element() -> None:
    assert lists.split(rb'a, b="c, \"d\", e" ,, f') == [b"a", rb'b="c, \"d\", e"', b"f"]


def test_a_quote_without_a_partner_hides_nothing() -> None:
    assert lists.split(b'a="x, y", b="c, no-store') == [b'a="x, y"', b'b="c', b"no-store"]


@given(st.lists(st.binary(min_size=1).filter(lambda b: not set(b) & set(b',"\\ \t'))))
def test_what_was_joined_comes_apart_again(items: list[bytes]) -> None:
    assert lists.split(b", ".join(items)) == items


def test_a_value_of_escaped_quotes_is_split_in_linear_time() -> None:
    began = time.process_time()

    lists.split(b'"' + rb"\"" * 200_000)

    assert time.process_time() - began < 1
