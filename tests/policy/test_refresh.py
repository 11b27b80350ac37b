import pytest

from gateway.policy import refresh, storing, validation
from gateway.policy.age import Arrival
from gateway.policy.rules import CacheRules
from gateway.policy.stored import StoredResponse
from tests.policy.messages import NOON, arrival, fields, request, response, stored

SPREAD = CacheRules(lifetime=100.0, jitter=0.2)


def costing(seconds: float) -> StoredResponse:
    """Return a response of a minute whose fetch took so long."""
    kept = stored(("Cache-Control", "max-age=60"))
    took = Arrival(NOON, 0.0, NOON - seconds, NOON)
    return StoredResponse(
        kept.status, kept.reason, kept.fields, kept.body, took, kept.lifetime, kept.directives
    )


@pytest.mark.parametrize(
    ("jitter", "chance", "lifetime"),
    [(0.0, 0.9, 100), (0.2, 0.0, 100), (0.2, 0.5, 90), (1, 0.5, 50)],
)
def test_jitter_only_shortens_a_lifetime(jitter: float, chance: float, lifetime: float) -> None:
    assert refresh.jittered(100.0, jitter, chance) == pytest.approx(lifetime)


def test_what_is_stored_and_what_is_validated_lives_as_long_as_chance_has_it() -> None:
    head = response(("ETag", '"a"'))
    decided = storing.decide(request(), head, SPREAD, arrival(head), chance=0.5)
    assert isinstance(decided, storing.Store)
    assert decided.lifetime == pytest.approx(90)

    kept = storing.keep(decided, head, b"", arrival(head))
    fresh = validation.freshen(kept, response(status=304), SPREAD, arrival(head), fields(), 0.25)
    assert fresh.lifetime == pytest.approx(95)


@pytest.mark.parametrize(
    ("cost", "age", "chance", "early"),
    [
        pytest.param(1.0, 10, 0.999999, False, id="never-in-the-first-part-of-its-life"),
        pytest.param(1.0, 59, 0.0, False, id="the-luckless-never"),
        pytest.param(1.0, 59.5, 0.5, True, id="half-a-second-left-of-what-costs-one"),
        pytest.param(0.1, 59.5, 0.5, False, id="what-is-cheap-may-wait"),
        pytest.param(0.1, 59.5, 0.995, True, id="until-somebody-is-lucky"),
        pytest.param(5.0, 50, 0.9, True, id="what-is_dear-goes-early"),
        pytest.param(5.0, 60, 0.9, False, id="what-is-stale-is-not-early"),
    ],
)
def test_the_costlier_a_fetch_the_earlier_it_is_repeated(
    cost: float, age: float, chance: float, early: bool
) -> None:
    assert refresh.is_early(costing(cost), age, 1.0, chance) is early


def test_nothing_is_refreshed_early_unless_the_route_says_so() -> None:
    assert not refresh.is_early(costing(1.0), 59.99, 0.0, 0.9)
    assert refresh.is_early(costing(1.0), 59.0, 10.0, 0.5)


def test_lots_are_drawn_only_at_the_end_of_a_life() -> None:
    assert refresh.early_window(costing(1.0)) == pytest.approx(12)
