"""The numbers of the load tests against those of the brief."""

import itertools

import pytest

from loadtest.definition import DefinitionError, definition, options_for, users

SMALLER = ("laptop", "smoke")


def stages(test: str, profile: str) -> list[tuple[int, int]]:
    return [(each.seconds, each.target) for each in definition().profile(test, profile).stages]


def test_the_full_dashboard_test_has_the_stages_of_the_brief() -> None:
    assert stages("dashboard", "full") == [
        (2 * 60, 100),
        (7 * 60, 1_000),
        (7 * 60, 10_000),
        (3 * 60, 50_000),
        (12 * 60, 100_000),
        (5 * 60, 0),
    ]


def test_the_full_stress_test_climbs_spikes_and_stays_three_minutes() -> None:
    climbed = stages("api_stress", "full")

    assert (60, 20_000) in climbed
    assert climbed[climbed.index((60, 20_000)) + 1] == (180, 20_000)
    assert (300, 10_000) in climbed
    assert sum(seconds for seconds, _ in climbed) == 20 * 60


def test_the_traffic_is_seventy_twenty_ten() -> None:
    shares = {name: each.share for name, each in definition().test("dashboard").scenarios.items()}

    assert shares == {"browsing": 0.7, "api": 0.2, "realtime": 0.1}


def test_the_thresholds_are_those_of_the_brief() -> None:
    dashboard, stress = (options_for(test, "full")["thresholds"] for test in definition().tests)

    assert dashboard["http_req_duration"] == ["p(95)<500", "p(99)<1000", "max<5000"]
    assert dashboard["http_req_failed"] == ["rate<0.01"]
    assert dashboard["error_rate"] == ["rate<0.05"]
    assert dashboard["cache_hit_rate"] == ["rate>0.7"]
    assert stress["http_req_duration"] == ["p(99)<1000"]
    assert stress["http_req_failed"] == ["rate<0.02"]
    assert stress["api_duration"] == ["p(95)<500"]


def test_a_hundred_thousand_users_begin_seventy_thousand_visits_in_the_time_of_one() -> None:
    scenarios = options_for("dashboard", "full")["scenarios"]

    assert {each["executor"] for each in scenarios.values()} == {"ramping-arrival-rate"}
    assert scenarios["browsing"]["timeUnit"] == "60s"
    assert max(stage["target"] for stage in scenarios["browsing"]["stages"]) == 70_000
    assert scenarios["browsing"]["maxVUs"] >= 140_000


def test_few_dropped_visits_are_forgiven_and_many_are_not() -> None:
    thresholds = options_for("api_stress", "full")["thresholds"]

    # The area under the stages is 11,010,000 requests, of which one percent may be dropped.
    assert thresholds["dropped_iterations"] == ["count<110101"]


@pytest.mark.parametrize("profile", SMALLER)
@pytest.mark.parametrize("test", ["dashboard", "api_stress"])
def test_a_smaller_profile_has_the_same_shape(test: str, profile: str) -> None:
    full, small = stages(test, "full"), stages(test, profile)
    minutes = sum(seconds for seconds, _ in full) / sum(seconds for seconds, _ in small)

    assert len(small) == len(full)
    for (seconds, target), (short, few) in zip(full, small, strict=True):
        assert short == pytest.approx(seconds / minutes, abs=1.01)
        assert (target == 0) == (few == 0)
    rises = [[later >= earlier for (_, earlier), (_, later) in itertools.pairwise(each)]
             for each in (full, small)]  # fmt: skip
    assert rises[0] == rises[1]


def test_laptop_lasts_two_minutes_and_smoke_a_quarter_of_one() -> None:
    for test in definition().tests.values():
        assert test.profiles["laptop"].seconds == 120
        assert test.profiles["smoke"].seconds == 15


def test_the_stress_test_asks_health_and_the_four_procedures() -> None:
    assert definition().test("api_stress").endpoints == (
        "/api/health",
        "/api/trpc/insight.getIssues",
        "/api/trpc/autopilot.getRuns",
        "/api/trpc/guardian.getTests",
        "/api/trpc/analytics.getMetrics",
    )


def test_a_few_organizations_make_most_of_the_visits() -> None:
    weights = [each.weight for each in users().organizations]

    assert len(weights) >= 5
    assert weights == sorted(weights, reverse=True)
    assert sum(weights[:2]) >= sum(weights) / 2


def test_scale_multiplies_users_and_nothing_else() -> None:
    one, ten = (options_for("dashboard", "laptop", scale) for scale in (1.0, 10.0))

    for name, scenario in one["scenarios"].items():
        other = ten["scenarios"][name]
        assert other["timeUnit"] == scenario["timeUnit"]
        for stage, larger in zip(scenario["stages"], other["stages"], strict=True):
            assert larger["duration"] == stage["duration"]
            assert larger["target"] == pytest.approx(10 * stage["target"], abs=5)


def test_an_unknown_profile_is_told_with_those_there_are() -> None:
    with pytest.raises(DefinitionError, match="no profile 'huge'; there are full, laptop, smoke"):
        options_for("dashboard", "huge")
