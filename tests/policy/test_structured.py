import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.structured import OTHER, Dictionary, parse_dictionary


@pytest.mark.parametrize(
    ("value", "members"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"a", {b"a": True}, id="true-by-being-there"),
        pytest.param(b"a=?0, b=?1", {b"a": False, b"b": True}, id="booleans"),
        pytest.param(b"max-age=60", {b"max-age": 60}, id="integer"),
        pytest.param(b"a=-5", {b"a": -5}, id="negative"),
        pytest.param(b"a=1, b , a=2", {b"a": 2, b"b": True}, id="last-of-two"),
        pytest.param(b"a=1;x;y=2,b;z", {b"a": 1, b"b": True}, id="parameters"),
        pytest.param(rb'a="x\"y\\"', {b"a": rb'x"y' + b"\\"}, id="string"),
        pytest.param(
            b"a=1.5, b=tok/en, c=:YQ==:, d=@9",
            {b"a": OTHER, b"b": OTHER, b"c": OTHER, b"d": OTHER},
            id="other",
        ),
        pytest.param(b'a=("x" 1;p), b=()', {b"a": OTHER, b"b": OTHER}, id="inner-lists"),
        pytest.param(b"  a \t,\t b  ", {b"a": True, b"b": True}, id="white-space"),
    ],
)
def test_a_dictionary_is_read(value: bytes, members: Dictionary) -> None:
    assert parse_dictionary(value) == members


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"max-age =60", id="space-before-equals"),
        pytest.param(b"max-age= 60", id="space-after-equals"),
        pytest.param(b"Max-Age=60", id="upper-case-key"),
        pytest.param(b"a,", id="trailing-comma"),
        pytest.param(b"a,,b", id="empty-member"),
        pytest.param(b"a b", id="no-comma"),
        pytest.param(b"a=", id="no-value"),
        pytest.param(b"a=1234567890123456", id="sixteen-digits"),
        pytest.param(b"a=1.", id="no-fraction"),
        pytest.param(b"a=1.2345", id="long-fraction"),
        pytest.param(b'a="x', id="open-string"),
        pytest.param(rb'a="\x"', id="wrong-escape"),
        pytest.param('a="é"'.encode(), id="beyond-ascii"),
        pytest.param(b"a=(1", id="open-list"),
        pytest.param(b"a=(1,2)", id="comma-in-list"),
        pytest.param(b"a=$1", id="unknown-type"),
        pytest.param(b"a;", id="no-parameter"),
        pytest.param(b"a=?2", id="no-boolean"),
        pytest.param(b"\ta", id="tab-in-front"),
    ],
)
def test_a_dictionary_that_breaks_the_grammar_is_none(value: bytes) -> None:
    assert parse_dictionary(value) is None


@given(st.binary(max_size=30))
def test_any_bytes_parse_or_fail_to(value: bytes) -> None:
    assert parse_dictionary(value) is None or isinstance(parse_dictionary(value), dict)
