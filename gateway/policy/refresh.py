"""When to fetch again what isn't stale yet, so that not everybody does at once.

Two ways against the stampede when something much asked for expires: lifetimes that are
spread by chance when a response is stored, and a refresh before the end, drawn by lot among
the requests that still hit. The chances are arguments: numbers from 0 up to, not including, 1.
"""

from math import log
from typing import Final

from gateway.policy.stored import StoredResponse

_EARLIEST: Final = 0.2
"""The last share of a lifetime in which lots are drawn: no refresh is earlier than that."""
_COST_AT_LEAST: Final = 0.001
"""Seconds; an origin on the same machine answers faster than its cost is worth telling."""


def jittered(lifetime: float, jitter: float, chance: float) -> float:
    """Return *lifetime* shortened by up to its share *jitter*; never longer than it was."""
    return lifetime * (1.0 - jitter * chance)


def early_window(stored: StoredResponse) -> float:
    """Return the seconds of freshness left below which `is_early` may be true."""
    return stored.lifetime * _EARLIEST


def is_early(stored: StoredResponse, age: float, beta: float, chance: float) -> bool:
    """Return whether the request that draws *chance* refreshes *stored*, fresh at *age*.

    XFetch (Vattani, Chierichetti and Lowenstein, "Optimal probabilistic cache stampede
    prevention", 2015): the costlier a fetch was, the earlier; the more requests draw, the
    likelier that one of them does. *beta* scales it: 1 is the optimum, 0 is never.
    """
    remaining = stored.lifetime - age
    if beta <= 0.0 or remaining <= 0.0 or remaining > early_window(stored):
        return False
    cost = max(_COST_AT_LEAST, stored.arrival.response_time - stored.arrival.request_time)
    # 1 - chance is never 0, whose logarithm doesn't exist.
    return cost * beta * -log(1.0 - chance) >= remaining
