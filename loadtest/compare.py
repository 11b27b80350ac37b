"""Two runs side by side: `python -m loadtest compare A B`.  B is the newer one."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.record import Group, Run

SMALL_MS = 5.0
"""Differences below this are noise, however large they are in percent."""
BUSIER = 1.0
"""A difference in load averages that matters."""
FEW = 50
"""Groups with fewer answers in either run aren't judged: their percentiles jump."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both runs."""

    what: str
    before: float
    after: float
    unit: str
    worse: bool
    """Whether it got worse by more than the limit."""

    @property
    def change(self) -> str:
        """The change in percent of the first; a dash when there was nothing before."""
        if not self.before:
            return "-" if not self.after else "new"
        return f"{(self.after - self.before) / self.before:+.1%}"


def differences(before: Run, after: Run, limit: float = 0.2) -> list[Difference]:
    """Return every figure; one that is worse by more than *limit* of its first value is marked."""
    rows = [
        _more("answers a second", before.rps, after.rps, "", limit),
        _share("error rate", before.error_rate, after.error_rate, 0.005),
        _share("hit rate", -(before.hit_rate or 0), -(after.hit_rate or 0), 0.05),
        _share("stale rate", before.stale_rate or 0, after.stale_rate or 0, 1.0),
        _slower("p50", before.total.p50, after.total.p50, limit),
        _slower("p95", before.total.p95, after.total.p95, limit),
        _slower("p99", before.total.p99, after.total.p99, limit),
        _slower("max", before.total.max, after.total.max, float("inf")),
    ]
    rows += _groups("endpoint", before.endpoints, after.endpoints, limit)
    rows += _groups("X-Cache", before.words, after.words, limit)
    return rows


def _groups(
    kind: str, before: tuple[Group, ...], after: tuple[Group, ...], limit: float
) -> Iterator[Difference]:
    earlier = {group.name: group for group in before}
    for group in after:
        other = earlier.get(group.name)
        if other is None:
            continue
        enough = min(group.times.count, other.times.count) >= FEW
        yield _slower(
            f"{kind} {group.name}: p95",
            other.times.p95,
            group.times.p95,
            limit if enough else float("inf"),
        )


def _slower(what: str, before: float, after: float, limit: float) -> Difference:
    worse = after - before > SMALL_MS and after > before * (1 + limit)
    return Difference(what, before, after, "ms", worse)


def _more(what: str, before: float, after: float, unit: str, limit: float) -> Difference:
    return Difference(what, before, after, unit, after < before * (1 - limit))


def _share(what: str, before: float, after: float, limit: float) -> Difference:
    """Compare shares of one; both are negated where more is better."""
    return Difference(what, abs(before) * 100, abs(after) * 100, "%", after - before > limit)


def cautions(before: Run, after: Run) -> list[str]:
    """Return why the two can't well be compared; none when they can."""
    found = [
        f"the {what} differs: {getattr(before, what)}, {getattr(after, what)}"
        for what in ("test", "profile", "scale", "engine", "machine")
        if getattr(before, what) != getattr(after, what)
    ]
    if abs(before.load - after.load) > BUSIER:
        found.append(f"the machine was busy with more: load {before.load:.1f}, {after.load:.1f}")
    return found


def text(rows: list[Difference]) -> str:
    """Return the table for a terminal."""
    width = max(len(row.what) for row in rows) + 2
    lines = [f"{'':<{width}}{'before':>14}{'after':>14}{'change':>10}"]
    for row in rows:
        before, after = f"{row.before:,.2f} {row.unit:<2}", f"{row.after:,.2f} {row.unit:<2}"
        mark = "   WORSE" if row.worse else ""
        lines.append(f"{row.what:<{width}}{before:>14}{after:>14}{row.change:>10}{mark}")
    return "\n".join(lines)
