import pytest

from gateway.policy.age import OLDEST, Arrival, arrived, current_age
from tests.policy.messages import NOON, date, fields


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("30", 30, id="plain"),
        pytest.param("-7200", 0, id="negative"),
        pytest.param("7200.0", 0, id="float"),
        pytest.param("old", 0, id="no-number"),
        pytest.param("", 0, id="empty"),
        pytest.param("7200;foo=bar", 0, id="parameter"),
        pytest.param("0, 7200", 0, id="first-of-two"),
        pytest.param("7200, 0", 7200, id="first-of-two-old"),
        pytest.param("2147483649", OLDEST, id="beyond-31-bits"),
        pytest.param("9" * 5000, OLDEST, id="thousands-of-digits"),
    ],
)
def test_age_is_read_as_its_first_whole_number(value: str, seconds: int) -> None:
    assert arrived(fields(("Age", value)), NOON, NOON).age_value == seconds


@pytest.mark.parametrize("value", [None, "foo", f"{date(0)}, {date(0)}"])
def test_a_response_without_a_readable_date_was_made_when_it_came(value: str | None) -> None:
    head = fields() if value is None else fields(("Date", value))

    assert arrived(head, NOON - 2, NOON).date_value == NOON


def test_of_date_and_age_the_older_is_believed() -> None:
    by_date = Arrival(NOON - 100, 0.0, NOON, NOON)
    by_age = Arrival(NOON - 100, 300.0, NOON, NOON)

    assert current_age(by_date, NOON + 5) == 105
    assert current_age(by_age, NOON + 5) == 305


def test_the_time_a_response_took_counts_as_age() -> None:
    assert current_age(Arrival(NOON + 5, 0.0, NOON, NOON + 5), NOON + 5) == 5


def test_a_clock_set_back_makes_nothing_younger() -> None:
    assert current_age(Arrival(NOON, 10.0, NOON, NOON), NOON - 3600) == 10
