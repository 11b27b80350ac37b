"""How old a stored response is (RFC 9111 section 4.2.3).

Arithmetic on values the caller hands in; whether old is too old is `reuse.py`'s
question. Durations are seconds. Instants are seconds since the epoch, because a
stored response may outlive the process that stored it.
"""

from dataclasses import dataclass


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
