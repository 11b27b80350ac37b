"""How old a stored response is (RFC 9111 section 4.2.3).

Arithmetic on values the caller hands in; whether old is too old is `reuse.py`'s
question. Durations are seconds. Instants are seconds since the epoch, because a
stored response may outlive the process that stored it.
"""

from dataclasses import dataclass
from typing import Final

from gateway.wire import dates
from gateway.wire.fields import Fields

OLDEST: Final = 2**31
"""The largest age that is told from any larger one (RFC 9111 section 1.2.2)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was known when a response arrived."""

    date_value: float
    """The Date field, or response_time when the origin sent none."""
    age_value: float
    """The Age field; 0 when there is none."""
    request_time: float
    response_time: float


def current_age(arrival: Arrival, now: float) -> float:
    """Return the age of a stored response at *now*.

    A cache before us may have held it for hours, or its clock may be wrong, so we
    believe the larger of two estimates.
    """
    apparent_age = max(0.0, arrival.response_time - arrival.date_value)
    response_delay = arrival.response_time - arrival.request_time
    corrected_initial_age = max(apparent_age, arrival.age_value + response_delay)
    # A clock that was set back must not make a response younger than it arrived.
    resident_time = max(0.0, now - arrival.response_time)
    return corrected_initial_age + resident_time


def arrived(fields: Fields, request_time: float, response_time: float) -> Arrival:
    """Return what is known of a response that was asked for and came at these instants.

    A Date that is missing or no date counts as *response_time* (RFC 9110 section 6.6.1). Of
    several Age values the first counts, and one that is no number counts as none (section 5.1).
    """
    index = fields.index()
    date = index.get(b"date")
    instant = None if date is None else dates.parse(date, response_time)
    return Arrival(
        date_value=response_time if instant is None else instant,
        age_value=age_value(index.get(b"age")),
        request_time=request_time,
        response_time=response_time,
    )


def age_value(value: bytes | None) -> float:
    """Return the seconds that the combined value of Age lines names; 0 for none."""
    if value is None:
        return 0.0
    first = value.partition(b",")[0].rstrip(b" \t")
    if not first.isdigit():
        return 0.0
    # Thousands of digits are one way to say "old"; int() would refuse them.
    return float(min(OLDEST, int(first))) if len(first) < 20 else float(OLDEST)
