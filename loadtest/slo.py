"""The success table of the brief, answered from a run: passed, failed, or not measured.

`python -m loadtest slo [RUN]`. What a run can't know, it doesn't claim: such a row says where to
look instead, and only `--strict` counts it as failed.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from loadtest.place import STATE
from loadtest.record import Run

CROWD_FILE = STATE / "crowd.json"
"""What `make load-100k` leaves behind."""


class Verdict(StrEnum):
    """The answer to one row."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "not measured"

    @property
    def css(self) -> str:
        """The class that colours it in a report."""
        return {"pass": "good", "fail": "bad"}.get(self.value, "unknown")


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table."""

    name: str
    target: str
    measured: str
    verdict: Verdict
    how: str


class CrowdResult(msgspec.Struct, frozen=True):
    """What of the crowd's result this table needs."""

    held: int
    """Users that were connected at the same time, for the whole of the measurement."""
    p95_ms: float
    errors: int
    requests: int


def goals(run: Run, crowd: CrowdResult | None = None) -> list[Goal]:
    """Return every row; *crowd* is the last result of `make load-100k`, None without one."""
    return [
        _below("P95 API response time", run, "p(95)", 300),
        _below("P99 API response time", run, "p(99)", 500),
        _database(run),
        _at_least(
            "cache hit rate", "> 70%", 0.70, run.hit_rate, "of the requests that ask the cache"
        ),
        _capacity(run, crowd),
        Goal(
            "auto-scaling response",
            "< 60 s",
            "-",
            Verdict.UNKNOWN,
            "needs a cluster; deploy/autoscale simulates it",
        ),
        _compression(run),
        _at_least(
            "CDN hit rate",
            "> 80%",
            0.80,
            run.gateway.public_hit_rate if run.gateway else None,
            "of the public and static routes, by the gateway's metrics: what a CDN keeps as well",
        ),
        _bundle(run),
        _images(run),
    ]


def _below(name: str, run: Run, percentile: str, limit_ms: float) -> Goal:
    target = f"< {limit_ms:.0f} ms"
    values = run.metrics.get("api_duration", {})
    if not values.get("count"):
        return Goal(name, target, "-", Verdict.UNKNOWN, "the run made no calls of the API")
    value = values[percentile]
    verdict = Verdict.PASS if value < limit_ms else Verdict.FAIL
    return Goal(name, target, f"{value:.1f} ms", verdict, f"over {values['count']:,.0f} calls")


def _database(run: Run) -> Goal:
    name, target = "database query P95", "< 100 ms"
    slowest = run.slowest_query
    if slowest is not None:
        verdict = Verdict.PASS if slowest.p95_ms < 100 else Verdict.FAIL
        how = f"of the slowest query, {slowest.name}, by the hub's metrics"
        return Goal(name, target, f"{slowest.p95_ms:.1f} ms", verdict, how)
    bound = run.gateway.origin_p95_ms if run.gateway else None
    if bound is not None and bound < 100:
        # An answer of the hub contains its queries: they can't have taken longer.
        return Goal(
            name,
            target,
            f"< {bound:.1f} ms",
            Verdict.PASS,
            "bounded by the P95 of whole answers of the hub, by the gateway's metrics",
        )
    return Goal(name, target, "-", Verdict.UNKNOWN, "the hub's metrics weren't readable")


def _at_least(name: str, target: str, limit: float, share: float | None, how: str) -> Goal:
    if share is None:
        return Goal(name, target, "-", Verdict.UNKNOWN, how)
    return Goal(name, target, f"{share:.1%}", Verdict.PASS if share > limit else Verdict.FAIL, how)


def _capacity(run: Run, crowd: CrowdResult | None) -> Goal:
    name, target = "load test capacity", "100,000 users"
    if crowd is not None:
        well = crowd.held >= 100_000 and crowd.errors <= crowd.requests / 100
        return Goal(
            name,
            target,
            f"{crowd.held:,}",
            Verdict.PASS if well else Verdict.FAIL,
            f"connected at once, P95 {crowd.p95_ms:.1f} ms, "
            f"{crowd.errors / max(1, crowd.requests):.2%} errors, by the last `make load-100k`",
        )
    if run.unit == "users" and run.peak >= 100_000:
        verdict = Verdict.PASS if run.passed else Verdict.FAIL
        return Goal(name, target, f"{run.peak:,}", verdict, "users of this run, by its thresholds")
    return Goal(name, target, "-", Verdict.UNKNOWN, "`make load-100k` measures it")


def _compression(run: Run) -> Goal:
    name, target, how = "compression ratio", "> 60%", "pages and API answers, asked for both ways"
    if run.delivery is None:
        return Goal(name, target, "-", Verdict.UNKNOWN, how)
    saved = run.delivery.saved
    return Goal(name, target, f"{saved:.1%}", Verdict.PASS if saved > 0.6 else Verdict.FAIL, how)


def _bundle(run: Run) -> Goal:
    name, target, how = "bundle size", "< 300 KB", "scripts and styles of the dashboard, as sent"
    if run.delivery is None:
        return Goal(name, target, "-", Verdict.UNKNOWN, how)
    size = run.delivery.bundle_bytes
    verdict = Verdict.PASS if 0 < size < 300_000 else Verdict.FAIL
    return Goal(name, target, f"{size / 1000:.1f} KB", verdict, how)


def _images(run: Run) -> Goal:
    name, target = "image optimization", "WebP/AVIF"
    how = "a picture of the home page, for browsers that take them"
    if run.delivery is None or not run.delivery.image_types:
        return Goal(name, target, "-", Verdict.UNKNOWN, how)
    types = run.delivery.image_types
    well = types == ("image/avif", "image/webp")
    return Goal(name, target, ", ".join(types), Verdict.PASS if well else Verdict.FAIL, how)


def read_crowd(file: Path) -> CrowdResult | None:
    """Return what `make load-100k` left in *file*; None when it never ran here."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=CrowdResult)
    except (OSError, msgspec.MsgspecError):
        return None


def text(rows: list[Goal]) -> str:
    """Return the table for a terminal."""
    lines = [f"{'aim':<24}{'target':<16}{'measured':<24}{'verdict':<14}how"]
    lines += [
        f"{row.name:<24}{row.target:<16}{row.measured:<24}{row.verdict:<14}{row.how}"
        for row in rows
    ]
    return "\n".join(lines)
