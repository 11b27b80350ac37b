from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import dates

INSTANT = 784111777.0


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT", id="imf-fixdate"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", id="rfc-850"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", id="asctime"),
        pytest.param(b"SUN, 06 nov 1994 08:49:37 gmt", id="other-case"),
        pytest.param(b"Mon, 06 Nov 1994 08:49:37 GMT", id="wrong-weekday"),
    ],
)
def test_each_form_of_a_date_names_the_same_instant(value: bytes) -> None:
    assert dates.parse(value) == INSTANT


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"0", id="zero"),
        pytest.param(b"-1", id="negative"),
        pytest.param(b"1800000000", id="epoch-seconds"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 AEST", id="other-zone"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 UTC", id="utc"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 +0000", id="offset"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37", id="no-zone"),
        pytest.param(b"Sun, 06 Nov 94 08:49:37 GMT", id="two-digit-year"),
        pytest.param(b"Sun, 06-Nov-1994 08:49:37 GMT", id="dashes"),
        pytest.param(b"Sun, 06 Nov 1994 08.49.37 GMT", id="periods"),
        pytest.param(b"Sun, 06 Nov 1994 8:49:37 GMT", id="one-digit-hour"),
        pytest.param(b"Sun, 6 Nov 1994 08:49:37 GMT", id="one-digit-day"),
        pytest.param(b"Sun 06 Nov 1994 08:49:37 GMT", id="no-comma"),
        pytest.param(b"Sun, 06  Nov  1994 08:49:37 GMT", id="two-spaces"),
        pytest.param(b"Sun, 06 Nov 1994 24:00:00 GMT", id="hour-24"),
        pytest.param(b"Sun, 06 Nov 1994 08:60:00 GMT", id="minute-60"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:61 GMT", id="second-61"),
        pytest.param(b"Sun, 31 Nov 1994 08:49:37 GMT", id="day-31-of-30"),
        pytest.param(b"Sun, 00 Nov 1994 08:49:37 GMT", id="day-0"),
        pytest.param(b"Wed, 29 Feb 2023 08:49:37 GMT", id="no-leap-year"),
        pytest.param(b"Tue, 29 Feb 0000 08:49:37 GMT", id="year-0"),
        pytest.param(b"Sun, 06 Foo 1994 08:49:37 GMT", id="no-such-month"),
        pytest.param(b"Foo, 06 Nov 1994 08:49:37 GMT", id="no-such-day"),
        pytest.param("Sun, 0\u0666 Nov 1994 08:49:37 GMT".encode(), id="foreign-digit"),
        pytest.param(
            b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", id="two-dates"
        ),
    ],
)
def test_what_is_half_a_date_is_none(value: bytes) -> None:
    assert dates.parse(value) is None


@pytest.mark.parametrize(
    ("digits", "now", "year"),
    [
        pytest.param("50", 2026, 2050, id="in-24-years"),
        pytest.param("76", 2026, 2076, id="in-fifty-years"),
        pytest.param("77", 2026, 1977, id="in-51-years-is-the-past"),
        pytest.param("94", 2026, 1994, id="last-century"),
        pytest.param("03", 2095, 2103, id="after-the-next-turn-of-a-century"),
    ],
)
def test_a_two_digit_year_is_at_most_fifty_years_ahead(digits: str, now: int, year: int) -> None:
    today = datetime(now, 6, 1, tzinfo=UTC).timestamp()

    instant = dates.parse(f"Thursday, 18-Aug-{digits} 02:01:18 GMT".encode(), today)

    assert instant == datetime(year, 8, 18, 2, 1, 18, tzinfo=UTC).timestamp()


@given(st.integers(min_value=0, max_value=253402300799))
def test_what_is_written_is_what_the_library_writes_and_reads_back(instant: int) -> None:
    written = dates.format(instant)

    assert written.decode() == format_datetime(datetime.fromtimestamp(instant, UTC), usegmt=True)
    assert dates.parse(written) == instant


@given(st.binary(max_size=40))
def test_any_bytes_are_a_date_or_none(value: bytes) -> None:
    assert dates.parse(value) is None or isinstance(dates.parse(value), float)


def test_fractions_of_a_second_are_dropped() -> None:
    assert dates.format(INSTANT + 0.999) == b"Sun, 06 Nov 1994 08:49:37 GMT"
