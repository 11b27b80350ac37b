import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import ranges
from gateway.policy.ranges import Ranged
from gateway.policy.stored import StoredResponse
from tests.policy.messages import date, fields, stored

TEN = b"0123456789"
FRESH = ("Cache-Control", "max-age=60")


def ten(*pairs: tuple[str, str], body: bytes = TEN) -> StoredResponse:
    return stored(FRESH, ("Content-Type", "text/x"), *pairs, body=body)


def ranged(kept: StoredResponse, *pairs: tuple[str, str]) -> Ranged | None:
    return ranges.answer(fields(*pairs), kept, b"B")


def body_of(found: Ranged) -> bytes:
    return b"".join(found.pieces)


@pytest.mark.parametrize(
    ("asked", "spans"),
    [
        pytest.param("bytes=0-1", [(0, 2)], id="first-to-last"),
        pytest.param("bytes=4-", [(4, 10)], id="from"),
        pytest.param("bytes=-3", [(7, 10)], id="suffix"),
        pytest.param("bytes=-30", [(0, 10)], id="suffix-longer-than-all"),
        pytest.param("bytes=8-100", [(8, 10)], id="last-beyond-the-end"),
        pytest.param("bytes=9-99999999999999999999999", [(9, 10)], id="last-past-all-counting"),
        pytest.param("bytes=0-0", [(0, 1)], id="one-byte"),
        pytest.param("BYTES=0-0", [(0, 1)], id="units-have-no-case"),
        pytest.param("bytes=00000000000000000000000002-3", [(2, 4)], id="leading-zeros"),
        pytest.param("bytes=0-1, 4-5,, 8-", [(0, 2), (4, 6), (8, 10)], id="several"),
        pytest.param("bytes=8-9,0-1", [(8, 10), (0, 2)], id="in-the-order-asked"),
        pytest.param("bytes=0-1,20-30", [(0, 2)], id="some-beyond-the-end"),
        pytest.param("bytes=10-", [], id="beyond-the-end"),
        pytest.param("bytes=999999999999999999999999-", [], id="far-beyond"),
        pytest.param("bytes=-0", [], id="the-last-nothing"),
        pytest.param("bytes=20-30,-0", [], id="all-beyond"),
        pytest.param("bytes=3-2", None, id="backwards"),
        pytest.param("bytes=0-1,3-2", None, id="one-backwards"),
        pytest.param("bytes=", None, id="none"),
        pytest.param("bytes=,", None, id="commas-alone"),
        pytest.param("bytes=a-b", None, id="letters"),
        pytest.param("bytes=0x1-2", None, id="hexadecimal"),
        pytest.param("bytes=-1-2", None, id="negative"),
        pytest.param("bytes=1", None, id="no-hyphen"),
        pytest.param("bytes 0-1", None, id="no-equals"),
        pytest.param("lines=0-1", None, id="another-unit"),
        pytest.param("bytes=0-5,4-6", None, id="overlapping"),
        pytest.param("bytes=0-4,5-9", None, id="all-of-it-in-parts"),
        pytest.param("bytes=" + ",".join(["0-0"] * 17), None, id="too-many"),
    ],
)
def test_a_range_field_names_parts_nothing_or_is_ignored(
    asked: str, spans: list[tuple[int, int]] | None
) -> None:
    assert ranges.spans(asked.encode(), len(TEN)) == spans


def test_one_range_is_a_206_that_says_which_bytes_it_holds() -> None:
    found = ranged(ten(("ETag", '"a"'), ("Content-Length", "10")), ("Range", "bytes=2-4"))

    assert found is not None
    assert (found.status, body_of(found), found.length) == (206, b"234", 3)
    assert found.fields.get(b"content-range") == b"bytes 2-4/10"
    assert found.fields.get(b"content-type") == b"text/x"
    assert found.fields.get(b"etag") == b'"a"'
    assert b"content-length" not in found.fields


def test_a_part_is_a_view_of_the_body_and_no_copy() -> None:
    kept = ten(body=bytes(1_000_000))

    found = ranged(kept, ("Range", "bytes=1-"))

    assert found is not None
    (view,) = found.pieces
    assert isinstance(view, memoryview)
    assert view.obj is kept.body


def test_several_ranges_come_in_parts_each_with_its_own_fields() -> None:
    kept = ten(body=TEN * 100)

    found = ranged(kept, ("Range", "bytes=0-1,-2"))

    assert found is not None
    assert found.status == 206
    assert found.fields.get(b"content-type") == b"multipart/byteranges; boundary=B"
    assert b"content-range" not in found.fields
    assert body_of(found) == (
        b"--B\r\nContent-Type: text/x\r\nContent-Range: bytes 0-1/1000\r\n\r\n01\r\n"
        b"--B\r\nContent-Type: text/x\r\nContent-Range: bytes 998-999/1000\r\n\r\n89\r\n"
        b"--B--\r\n"
    )
    assert found.length == len(body_of(found))


def test_several_ranges_of_which_one_can_be_met_are_no_multipart() -> None:
    found = ranged(ten(), ("Range", "bytes=20-30,3-4"))

    assert found is not None
    assert body_of(found) == b"34"
    assert found.fields.get(b"content-range") == b"bytes 3-4/10"


def test_parts_that_come_to_more_than_the_whole_are_the_whole() -> None:
    assert ranged(ten(), ("Range", "bytes=0-1,5-6")) is None


def test_a_range_beyond_the_end_is_told_how_long_the_body_is() -> None:
    found = ranged(ten(("ETag", '"a"')), ("Range", "bytes=10-"))

    assert found is not None
    assert (found.status, found.pieces, found.length) == (416, [], 0)
    assert found.fields.get(b"content-range") == b"bytes */10"
    assert b"content-type" not in found.fields


@pytest.mark.parametrize(
    ("pairs", "condition", "holds"),
    [
        pytest.param([("ETag", '"a"')], '"a"', True, id="strong"),
        pytest.param([("ETag", '"a"')], '"b"', False, id="another"),
        pytest.param([("ETag", 'W/"a"')], 'W/"a"', False, id="weak"),
        pytest.param([("ETag", 'W/"a"')], '"a"', False, id="weak-here"),
        pytest.param([("ETag", '"a"')], 'W/"a"', False, id="weak-there"),
        pytest.param([("ETag", "a")], "a", False, id="no-entity-tag"),
        pytest.param([], '"a"', False, id="no-validator"),
        pytest.param([("Last-Modified", date(-9))], date(-9), True, id="date"),
        pytest.param([("Last-Modified", date(-9))], date(-8), False, id="later-date"),
        pytest.param([("Last-Modified", date(0))], date(0), False, id="changed-just-now"),
        pytest.param([("Last-Modified", "x")], "x", False, id="no-date"),
    ],
)
def test_a_condition_on_a_range_has_to_name_these_very_bytes(
    pairs: list[tuple[str, str]], condition: str, holds: bool
) -> None:
    found = ranged(ten(*pairs), ("Range", "bytes=0-1"), ("If-Range", condition))

    assert (found is not None) is holds


def test_where_no_part_was_asked_or_can_be_taken_the_whole_is_sent() -> None:
    assert ranged(ten()) is None
    assert ranged(ten(("ETag", '"a"')), ("If-Range", '"b"')) is None
    assert ranged(ten(body=b""), ("Range", "bytes=0-1")) is None
    assert ranged(stored(FRESH, status=404), ("Range", "bytes=0-1")) is None


@given(st.binary(min_size=1, max_size=60), st.text("0123456789-,", max_size=12))
def test_whatever_is_asked_each_part_is_where_it_says(body: bytes, asked: str) -> None:
    found = ranged(ten(body=body), ("Range", f"bytes={asked}"))

    if found is None or found.status == 416 or b"content-range" not in found.fields:
        return
    unit, _, rest = (found.fields.get(b"content-range") or b"").partition(b" ")
    first, last = rest.partition(b"/")[0].split(b"-")
    assert unit == b"bytes"
    assert body_of(found) == body[int(first) : int(last) + 1]
    assert found.length == len(body_of(found)) > 0
