"""The algorithm of the HorizontalPodAutoscaler, autoscaling/v2, as Kubernetes documents it.

Follows "Horizontal Pod Autoscaling", sections "Algorithm details" and "Configurable scaling
behavior", and the controller's source where the page is silent. Arithmetic on values the
caller hands in: no clock, no cluster. Instants and durations are seconds.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Select(StrEnum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyKind(StrEnum):
    """What a policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True)
class Policy:
    """At most *value* pods, or percent of the pods, may change within *period*."""

    kind: PolicyKind
    value: int
    period: float


@dataclass(frozen=True, slots=True)
class Behavior:
    """How fast one direction may be taken."""

    stabilization: float
    policies: tuple[Policy, ...]
    select: Select = Select.MAX
    tolerance: float = 0.1
    """No scaling while a metric is so near to its target."""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """What the manifest says."""

    smallest: int
    largest: int
    up: Behavior
    down: Behavior


@dataclass(frozen=True, slots=True)
class PodReading:
    """One pod as a metric sees it."""

    value: float | None
    """None when the metric is missing."""
    ready: bool = True
    """Whether it counts; for CPU a pod that isn't ready yet doesn't."""


@dataclass(frozen=True, slots=True)
class PerPod:
    """A metric of each pod, compared on average: Resource and Pods metrics."""

    name: str
    target: float
    pods: Sequence[PodReading]


@dataclass(frozen=True, slots=True)
class Whole:
    """A metric of all together: External and Object metrics."""

    name: str
    target: float
    value: float | None
    """None when it can't be had."""
    averaged: bool = False
    """Whether the target is for each pod (AverageValue), not for the whole (Value)."""


Metric = PerPod | Whole


@dataclass(frozen=True, slots=True)
class Wish:
    """How many pods one metric asks for."""

    metric: str
    replicas: int


def wished(metric: Metric, current: int, ready: int, autoscaler: Autoscaler) -> int | None:
    """Return the pods that *metric* asks for; None when it can't be told."""
    if isinstance(metric, Whole):
        return _whole(metric, current, ready, autoscaler)
    return _per_pod(metric, current, autoscaler)


def _within(ratio: float, autoscaler: Autoscaler) -> bool:
    # Rounded far beyond what matters: 1.1 - 1 is a little more than 0.1 in binary.
    low = round(1.0 - autoscaler.down.tolerance, 9)
    high = round(1.0 + autoscaler.up.tolerance, 9)
    return low <= round(ratio, 9) <= high


def _ceiling(value: float) -> int:
    return math.ceil(round(value, 9))


def _whole(metric: Whole, current: int, ready: int, autoscaler: Autoscaler) -> int | None:
    if metric.value is None:
        return None
    if metric.averaged:
        ratio = metric.value / (metric.target * current)
        return current if _within(ratio, autoscaler) else _ceiling(metric.value / metric.target)
    ratio = metric.value / metric.target
    return current if _within(ratio, autoscaler) else _ceiling(ratio * ready)


def _per_pod(metric: PerPod, current: int, autoscaler: Autoscaler) -> int | None:
    known = [pod.value for pod in metric.pods if pod.ready and pod.value is not None]
    missing = sum(pod.ready and pod.value is None for pod in metric.pods)
    unready = sum(not pod.ready for pod in metric.pods)
    if not known:
        return None
    ratio = sum(known) / len(known) / metric.target
    # Pods that aren't ready matter only where more would be wished for.
    counted_unready = unready if ratio > 1.0 else 0
    if not missing and not counted_unready:
        return current if _within(ratio, autoscaler) else _ceiling(ratio * len(known))
    if ratio < 1.0:
        # On the way down, what isn't known is taken to be at its target (in full use).
        filled = [*known, *([metric.target] * missing)]
    else:
        # On the way up it is taken to do nothing: scaling is dampened, never caused.
        filled = [*known, *([0.0] * (missing + counted_unready))]
    again = sum(filled) / len(filled) / metric.target
    turned = (ratio < 1.0 < again) or (ratio > 1.0 > again)
    if turned or _within(again, autoscaler):
        return current
    wish = _ceiling(again * len(filled))
    backwards = (again < 1.0 and wish > current) or (again > 1.0 and wish < current)
    return current if backwards else wish


@dataclass(slots=True)
class Controller:
    """One autoscaler's memory, from decision to decision."""

    autoscaler: Autoscaler
    _recommended: deque[tuple[float, int]] = field(default_factory=deque)
    _ups: deque[tuple[float, int]] = field(default_factory=deque)
    _downs: deque[tuple[float, int]] = field(default_factory=deque)
    reason: str = ""
    """The metric that asked for most at the last decision."""

    def decide(self, now: float, current: int, ready: int, metrics: Sequence[Metric]) -> int:
        """Return how many pods there shall be from *now*; what changes is remembered."""
        wishes = [(wished(each, current, ready, self.autoscaler), each.name) for each in metrics]
        known = [(wish, name) for wish, name in wishes if wish is not None]
        if not known:
            return self._bounded(current)
        desired, self.reason = max(known, key=lambda pair: pair[0])
        if len(known) < len(wishes) and desired < current:
            # A metric that can't be had may ask for what we would take away.
            desired = current
        desired = self._limited(now, current, self._stabilized(now, current, desired))
        if desired > current:
            self._ups.append((now, desired - current))
        elif desired < current:
            self._downs.append((now, current - desired))
        return desired

    def _bounded(self, replicas: int) -> int:
        return max(self.autoscaler.smallest, min(self.autoscaler.largest, replicas))

    def _stabilized(self, now: float, current: int, desired: int) -> int:
        up, down = self.autoscaler.up.stabilization, self.autoscaler.down.stabilization
        self._recommended.append((now, desired))
        while self._recommended[0][0] < now - max(up, down):
            self._recommended.popleft()
        # As old as the window is too old; what is wished for now counts in any case.
        lowest = min([desired, *(wish for at, wish in self._recommended if at > now - up)])
        highest = max([desired, *(wish for at, wish in self._recommended if at > now - down)])
        if current < lowest:
            return lowest
        return min(current, highest)

    def _limited(self, now: float, current: int, desired: int) -> int:
        bounded = self._bounded(desired)
        if bounded > current:
            limit = self._up_limit(now, current)
            return max(current, min(bounded, limit))
        if bounded < current:
            return min(current, max(bounded, self._down_limit(now, current)))
        return current

    def _up_limit(self, now: float, current: int) -> int:
        behavior = self.autoscaler.up
        if behavior.select is Select.DISABLED:
            return current
        limits = []
        for policy in behavior.policies:
            start = current - self._changed(now, policy) + self._changed(now, policy, up=False)
            if policy.kind is PolicyKind.PODS:
                limits.append(start + policy.value)
            else:
                limits.append(_ceiling(start * (1 + policy.value / 100)))
        return max(limits) if behavior.select is Select.MAX else min(limits)

    def _down_limit(self, now: float, current: int) -> int:
        behavior = self.autoscaler.down
        if behavior.select is Select.DISABLED:
            return current
        limits = []
        for policy in behavior.policies:
            start = current - self._changed(now, policy) + self._changed(now, policy, up=False)
            if policy.kind is PolicyKind.PODS:
                limits.append(start - policy.value)
            else:
                limits.append(int(start * (1 - policy.value / 100)))
        # The policy that changes most leaves fewest.
        return min(limits) if behavior.select is Select.MAX else max(limits)

    def _changed(self, now: float, policy: Policy, *, up: bool = True) -> int:
        events = self._ups if up else self._downs
        return sum(count for at, count in events if at > now - policy.period)
