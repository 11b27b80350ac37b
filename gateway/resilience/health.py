"""Whether an endpoint should get requests, by what became of the last ones and by checks.

Two judges: requests that fail in a row eject an endpoint for a while, longer each time; and
checks that fail in a row make it unhealthy until as many succeed. What comes back gets more
requests slowly. Durations are seconds, instants monotonic, chance lies in 0 to 1.
"""

from dataclasses import dataclass, field

from gateway.resilience.backoff import Backoff

_TRIAL_SECONDS = 5.0
"""How long one trial keeps others away: its client may leave before it is known how it went."""
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Judgement:
    """When an endpoint is left alone."""

    eject_after: int | None = None
    """Failures in a row; None never ejects."""
    pause: Backoff = field(default_factory=lambda: Backoff(first=10.0, longest=300.0))
    """How long it is left alone, by how often it was in a row."""
    unhealthy_after: int = 3
    healthy_after: int = 2
    slow_start: float = 0.0
    """Over how many seconds it gets its full share back."""


class EndpointHealth:
    """What is known about one endpoint."""

    __slots__ = ("_checks", "_ejections", "_judgement", "_trial_until", "_well_since",
                 "ejected_until", "failures", "unhealthy")  # fmt: skip

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self.failures = 0
        """Requests that failed in a row."""
        self._ejections = 0
        self.ejected_until = 0.0
        """0 when it isn't ejected."""
        self._trial_until = 0.0
        self.unhealthy = False
        self._checks = 0
        """Checks in a row that contradict `unhealthy`."""
        self._well_since: float | None = None

    def admits(self, now: float) -> bool:
        """Return whether it should get a request at *now*."""
        if self.unhealthy:
            return False
        return not self.ejected_until or (now >= self.ejected_until and now >= self._trial_until)

    def chosen(self, now: float) -> None:
        """Note that it gets a request; after an ejection the first one is a trial."""
        if self.ejected_until:
            self._trial_until = now + _TRIAL_SECONDS

    def succeeded(self, now: float) -> None:
        """Note that it answered a request."""
        self.failures = 0
        if self.ejected_until:
            self.ejected_until = 0.0
            self._ejections = 0
            self._well_since = now

    def failed(self, now: float, chance: float) -> bool:
        """Note that a request to it failed; True when that ejects it."""
        self.failures += 1
        self._trial_until = 0.0
        after = self._judgement.eject_after
        if after is None or self.failures < after or now < self.ejected_until:
            return False
        self._ejections += 1
        self.ejected_until = now + self._judgement.pause.pause(self._ejections + 1, chance)
        return True

    def checked(self, now: float, *, well: bool) -> bool:
        """Note how a check went; True when that changes `unhealthy`."""
        if well is not self.unhealthy:
            self._checks = 0
            return False
        self._checks += 1
        judgement = self._judgement
        if self._checks < (judgement.healthy_after if well else judgement.unhealthy_after):
            return False
        self._checks = 0
        self.unhealthy = not well
        if well:
            self.failures = 0
            self.ejected_until = 0.0
            self._ejections = 0
            self._well_since = now
        return True

    def share(self, now: float) -> float:
        """Return what part of its weight it should get at *now*, more than 0 and at most 1."""
        since, over = self._well_since, self._judgement.slow_start
        if since is None:
            return 1.0
        if now - since >= over:
            self._well_since = None
            return 1.0
        return max(_LEAST_SHARE, (now - since) / over)
