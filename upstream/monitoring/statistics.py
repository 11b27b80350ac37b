"""Counts and durations of queries, by fingerprint. Durations are seconds here."""

from dataclasses import dataclass, field
from typing import Any

from ddsketch import DDSketch

from upstream.monitoring.fingerprints import Statement

_ACCURACY = 0.01
"""Percentiles are right within one percent of their value."""


class Durations:
    """How long something took, with percentiles, in bounded memory."""

    __slots__ = ("_sketch", "count", "longest", "total")

    def __init__(self) -> None:
        self._sketch = DDSketch(_ACCURACY)
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._sketch.add(seconds)
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def merge(self, other: "Durations") -> None:
        """Count all of *other* too."""
        self._sketch.merge(other._sketch)  # noqa: SLF001 - of the same class
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    @property
    def average(self) -> float:
        """The mean; 0 while there is none."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """Return what *share* of them (0 to 1) didn't exceed; 0 while there is none."""
        value = self._sketch.get_quantile_value(share)
        return 0.0 if value is None else float(value)

    def in_milliseconds(self) -> dict[str, float]:
        """Return the usual figures."""
        return {
            "avgMs": _ms(self.average),
            "p50Ms": _ms(self.percentile(0.5)),
            "p95Ms": _ms(self.percentile(0.95)),
            "p99Ms": _ms(self.percentile(0.99)),
            "maxMs": _ms(self.longest),
        }


@dataclass(slots=True)
class QueryStatistics:
    """What is known about the queries with one fingerprint."""

    statement: Statement
    name: str | None
    """What the hub calls the query; None for one that has no name."""
    errors: int = 0
    warnings: int = 0
    """Slower than the first threshold, not the second."""
    slow: int = 0
    """Slower than the second."""
    durations: Durations = field(default_factory=Durations)
    plan: str | None = None
    """The plan that was captured last; None while none was."""

    def as_json(self) -> dict[str, Any]:
        """Return it as the API tells it."""
        return {
            "fingerprint": self.statement.fingerprint,
            "name": self.name,
            "type": self.statement.kind,
            "query": self.statement.text,
            "count": self.durations.count,
            "errors": self.errors,
            "warnings": self.warnings,
            "slow": self.slow,
            "totalMs": _ms(self.durations.total),
            **self.durations.in_milliseconds(),
            "plan": self.plan,
        }


def rate(part: int, whole: int) -> str:
    """Return a share as ``0.17%``."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
