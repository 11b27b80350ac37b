"""A tier under a load profile, second by second, with its autoscaler.

The model of a pod is a single server: CPU and latency follow from how busy it is. That says
when a tier is too small, not what an unlucky request sees; percentiles come from load tests.
Durations are seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.autoscale.hpa import Autoscaler, Controller, Metric, PerPod, PodReading

SYNC = 15.0
"""Seconds between two decisions (--horizontal-pod-autoscaler-sync-period)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Users change evenly to *users* within *seconds*."""

    seconds: float
    users: float


BRIEF = (
    Stage(120, 100),
    Stage(420, 1_000),
    Stage(420, 10_000),
    Stage(180, 50_000),
    Stage(720, 100_000),
    Stage(300, 0),
)
"""The test with 100,000 users."""
COOL_DOWN = Stage(1800, 0)
"""Nothing, until the tier is small again."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What one pod can do, and what a user asks for."""

    capacity: float
    """Requests a second that keep a pod's requested CPU wholly busy."""
    service: float
    """Seconds a request takes on an idle pod."""
    requests_per_user: float
    """Requests a second that reach this tier for each user."""
    start: float = 12.0
    """From the decision until a pod is ready: scheduling, start, probes. The image is there."""
    lag: float = 17.5
    """How old a metric is on average when it is decided upon: half of the rate's window of 30 s
    and half of the 5 s between two scrapes."""
    memory_share: float = 0.45
    """Of the memory request, in use in each pod."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of the run."""

    at: float
    rate: float
    """Requests a second."""
    ready: int
    wanted: int
    busy: float
    """Of the ready pods' capacity; more than 1 is overload."""
    p95: float
    """Seconds, estimated; infinite in overload."""


@dataclass(slots=True)
class Run:
    """What happened."""

    moments: list[Moment] = field(default_factory=list)
    reactions: list[float] = field(default_factory=list)
    """For each time that a pod more was needed: seconds until it was ready."""

    @property
    def peak(self) -> int:
        """The most pods that were ready."""
        return max(moment.ready for moment in self.moments)

    @property
    def pod_hours(self) -> float:
        """What is paid for: pods that run, ready or not."""
        return sum(moment.wanted for moment in self.moments) / 3600

    @property
    def overloaded(self) -> float:
        """Seconds with more requests than the pods could answer."""
        return float(sum(moment.busy >= 1 for moment in self.moments))


def rate_at(stages: Sequence[Stage], at: float, requests_per_user: float) -> float:
    """Return the requests a second at *at*, seconds since the start; 0 after the end."""
    users = 0.0
    for stage in stages:
        if at < stage.seconds:
            return (users + (stage.users - users) * at / stage.seconds) * requests_per_user
        at -= stage.seconds
        users = stage.users
    return users * requests_per_user


def latency(tier: Tier, busy: float) -> float:
    """Return the P95 in seconds of a pod so *busy*, as a queue with one server (M/M/1)."""
    return math.inf if busy >= 1 else -math.log(0.05) * tier.service / (1 - busy)


def simulate(
    autoscaler: Autoscaler, targets: dict[str, float], tier: Tier, stages: Sequence[Stage]
) -> Run:
    """Return what the tier does under *stages*; *targets* are the manifest's."""
    controller = Controller(autoscaler)
    run = Run()
    wanted = autoscaler.smallest
    started = [-tier.start] * wanted
    """When each pod was asked for; the first ones are ready."""
    needs: dict[int, float] = {}
    for at in range(math.ceil(sum(stage.seconds for stage in stages))):
        now = float(at)
        ready = sum(now - each >= tier.start for each in started)
        rate = rate_at(stages, now, tier.requests_per_user)
        _note_needs(run, needs, now, _needed(rate, targets, tier, autoscaler), ready)
        busy = rate / (ready * tier.capacity)
        p95 = latency(tier, busy)
        run.moments.append(Moment(now, rate, ready, wanted, busy, p95))
        if at and at % SYNC == 0:
            seen = run.moments[max(0, at - round(tier.lag))]
            metrics = _metrics(targets, tier, seen, ready, len(started) - ready)
            wanted = controller.decide(now, wanted, ready, metrics)
            started += [now] * (wanted - len(started))
            # The youngest go first, as the controller of a Deployment chooses.
            del started[wanted:]
    return run


def _needed(rate: float, targets: dict[str, float], tier: Tier, autoscaler: Autoscaler) -> int:
    """Return the pods with which no metric would be above its target and tolerance."""
    by_cpu = rate / (tier.capacity * targets["cpu"] / 100)
    by_rate = rate / next(value for name, value in targets.items() if "requests" in name)
    wanted = math.ceil(max(by_cpu, by_rate) / (1 + autoscaler.up.tolerance))
    return max(autoscaler.smallest, min(autoscaler.largest, wanted))


def _note_needs(run: Run, needs: dict[int, float], now: float, needed: int, ready: int) -> None:
    for number in range(ready + 1, needed + 1):
        needs.setdefault(number, now)
    for number in [each for each in needs if each <= ready]:
        run.reactions.append(now - needs.pop(number))
    for number in [each for each in needs if each > needed]:
        # Load went before the pod came.
        del needs[number]


def _metrics(
    targets: dict[str, float], tier: Tier, seen: Moment, ready: int, starting: int
) -> list[Metric]:
    rate = seen.rate / seen.ready
    # A pod can't use more CPU than there is, and its answers then take as long as clients wait.
    values = {"cpu": 100 * min(2.0, seen.busy), "memory": 100 * tier.memory_share}
    metrics: list[Metric] = []
    for name, target in targets.items():
        if name not in values:
            values[name] = rate if "requests" in name else min(seen.p95, 5.0)
        known = [PodReading(values[name])] * ready
        metrics.append(
            PerPod(name, target, [*known, *([PodReading(None, ready=False)] * starting)])
        )
    return metrics
