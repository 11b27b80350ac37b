"""The simulated autoscaler, against cases worked out by hand from Kubernetes' documentation."""

from dataclasses import replace

import pytest

from deploy.autoscale import manifest
from deploy.autoscale.hpa import (
    Autoscaler,
    Behavior,
    Controller,
    PerPod,
    PodReading,
    Policy,
    PolicyKind,
    Select,
    Whole,
    wished,
)
from deploy.autoscale.simulate import Stage, Tier, rate_at, simulate

FREE = Behavior(0, (Policy(PolicyKind.PERCENT, 10_000, 15),))
FREELY = Autoscaler(1, 1000, FREE, Behavior(0, (Policy(PolicyKind.PERCENT, 100, 15),)))


def pods(*values: float | None, unready: int = 0) -> list[PodReading]:
    return [*map(PodReading, values), *([PodReading(None, ready=False)] * unready)]


@pytest.mark.parametrize(
    ("values", "unready", "expected"),
    [
        # ceil(currentReplicas * current / target); the page's own example: 200m to 100m doubles.
        pytest.param([200.0, 200.0], 0, 4, id="twice the target doubles"),
        pytest.param([50.0, 50.0], 0, 1, id="half the target halves"),
        pytest.param([110.0, 110.0], 0, 2, id="1.1 is within the tolerance"),
        pytest.param([111.0, 111.0], 0, 3, id="1.11 is not"),
        pytest.param([90.0, 90.0], 0, 2, id="0.9 is within"),
        # Up: (300 + 300 + 0) / 3 = 200 of 100, times 3 pods.
        pytest.param([300.0, 300.0, None], 0, 6, id="missing counts as 0 on the way up"),
        # Down: (20 + 20 + 100) / 3 = 46.7 of 100, times 3 pods: 1.4.
        pytest.param([20.0, 20.0, None], 0, 2, id="missing counts as the target on the way down"),
        # Up: (300 + 300 + 0 + 0) / 4 = 150 of 100, times 4 pods.
        pytest.param([300.0, 300.0], 2, 6, id="a pod not ready counts as 0 on the way up"),
        # (150 + 150 + 0 + 0) / 4 = 75: the direction would turn, so nothing is done.
        pytest.param([150.0, 150.0], 2, 4, id="a direction never turns by what isn't known"),
        # Down: pods that aren't ready are set aside: 50 / 100 * 2 = 1.
        pytest.param([50.0, 50.0], 2, 1, id="a pod not ready counts nothing on the way down"),
        pytest.param([None, None], 0, None, id="nothing known, nothing wished"),
    ],
)
def test_one_metric_asks_for(
    values: list[float | None], unready: int, expected: int | None
) -> None:
    metric = PerPod("cpu", 100.0, pods(*values, unready=unready))

    assert wished(metric, len(values) + unready, len(values), FREELY) == expected


def test_a_metric_of_the_whole_is_shared_or_compared() -> None:
    shared = Whole("queue", 30.0, 301.0, averaged=True)
    compared = Whole("latency", 0.5, 1.0)

    assert wished(shared, 4, 4, FREELY) == 11  # ceil(301 / 30)
    assert wished(compared, 4, 3, FREELY) == 6  # ceil(3 ready * 2)


def test_of_several_metrics_the_one_that_asks_for_most_counts() -> None:
    controller = Controller(FREELY)
    metrics = [PerPod("cpu", 70.0, pods(70, 70)), PerPod("rps", 1000.0, pods(2500, 2500))]

    assert controller.decide(0, 2, 2, metrics) == 5
    assert controller.reason == "rps"


def test_a_metric_that_is_away_stops_the_way_down_but_not_up() -> None:
    away = Whole("rps", 1000.0, None)

    low = Controller(FREELY).decide(0, 4, 4, [PerPod("cpu", 70.0, pods(*[7.0] * 4)), away])
    high = Controller(FREELY).decide(0, 4, 4, [PerPod("cpu", 70.0, pods(*[140.0] * 4)), away])

    assert (low, high) == (4, 8)


def shipped() -> Autoscaler:
    return manifest.read(manifest.KUBERNETES / "gateway" / "hpa.yaml")[0]


def decisions(controller: Controller, start: int, load: float, times: range) -> list[int]:
    current = start
    seen = []
    for now in times:
        metric = PerPod("rps", 1000.0, pods(*[load / current] * current))
        current = controller.decide(now, current, current, [metric])
        seen.append(current)
    return seen


def test_up_at_once_by_ten_pods_or_by_doubling_whichever_is_more() -> None:
    # 3 + 10, then 13 * 2, 26 * 2, until 100 are wished for.
    assert decisions(Controller(shipped()), 3, 100_000, range(0, 75, 15)) == [13, 26, 52, 100, 100]


def test_down_after_five_minutes_by_half_or_five_pods_whichever_is_less() -> None:
    controller = Controller(shipped())
    decisions(controller, 47, 47_000, range(0, 15, 15))

    seen = decisions(controller, 47, 3_000, range(15, 600, 15))

    # What was wished for at 0 s holds until it is 300 s old; then five a minute.
    assert seen[:19] == [47] * 19  # 15 s to 285 s
    assert seen[19:28] == [42, 42, 42, 42, 37, 37, 37, 37, 32]


def test_the_smaller_policy_of_few_pods_is_the_percentage() -> None:
    controller = Controller(shipped())

    seen = decisions(controller, 8, 3_000, range(0, 615, 15))

    # Half of 8 is 4, five less is 3: 4 stay, and then 3, which is the minimum.
    assert seen[0] == 4
    assert seen[4] == 3


def test_a_direction_can_be_forbidden() -> None:
    frozen = replace(FREELY, down=replace(FREELY.down, select=Select.DISABLED))

    assert Controller(frozen).decide(0, 9, 9, [PerPod("cpu", 70.0, pods(*[1.0] * 9))]) == 9


def test_stabilisation_on_the_way_up_takes_the_least_of_its_window() -> None:
    slow = replace(FREELY, up=replace(FREELY.up, stabilization=30))
    controller = Controller(slow)
    controller.decide(0, 2, 2, [PerPod("cpu", 100.0, pods(100, 100))])

    first = controller.decide(15, 2, 2, [PerPod("cpu", 100.0, pods(400, 400))])
    second = controller.decide(45, 2, 2, [PerPod("cpu", 100.0, pods(400, 400))])

    assert (first, second) == (2, 8)


def test_users_change_evenly_within_a_stage() -> None:
    stages = [Stage(100, 100), Stage(50, 0)]

    assert [rate_at(stages, at, 2.0) for at in (0, 50, 100, 125, 150)] == [0, 100, 200, 100, 0]


def test_a_pod_takes_its_time_to_start_and_load_waits_for_it() -> None:
    tier = Tier(capacity=1000, service=0.001, requests_per_user=1, start=12, lag=0)
    targets = {"cpu": 70.0, "requests_per_second": 1000.0}
    autoscaler = replace(shipped(), smallest=1)

    run = simulate(autoscaler, targets, tier, [Stage(1, 1400), Stage(60, 1400)])

    # 2 pods at 15 s: CPU is told as twice its request at most, 140% / 70% = 2.
    assert [run.moments[at].wanted for at in (15, 16)] == [1, 2]
    assert [run.moments[at].ready for at in (26, 27)] == [1, 2]
    assert run.overloaded == 26.0  # from 1 s on: at 0 s nobody asks yet


@pytest.mark.parametrize(
    ("written", "value"), [("500m", 0.5), ("1000", 1000.0), ("640Mi", 671088640.0), (70, 70.0)]
)
def test_quantities_are_read_as_kubernetes_writes_them(written: str | int, value: float) -> None:
    assert manifest.quantity(written) == value
