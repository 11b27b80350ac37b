"""Turns what was measured into a table, the aims, and JSON.  Nothing here measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from bench.cases import Aim, Case
from bench.load import Load
from bench.peers import GATEWAY

BUSY_ENOUGH = 0.85
"""A server that used less of its core was not what bounded the measurement."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One server in one case, over all rounds."""

    rounds: tuple[Load, ...]
    server_cpu: tuple[float, ...]
    """How busy the server's core was with it in each round, 0 to 1."""

    @property
    def requests_per_second(self) -> float:
        return median(load.requests_per_second for load in self.rounds)

    @property
    def per_cpu_second(self) -> float:
        """Requests for each second of CPU that the server used.

        Unlike requests a second it hardly changes when wrk or other work is in the way; it
        is what a core could do that had nothing else to wait for.
        """
        return median(
            load.requests_per_second / cpu
            for load, cpu in zip(self.rounds, self.server_cpu, strict=True)
        )

    @property
    def p50_ms(self) -> float:
        return median(load.p50_ms for load in self.rounds)

    @property
    def p99_ms(self) -> float:
        return median(load.p99_ms for load in self.rounds)

    @property
    def busy(self) -> float:
        """How much of its core it used."""
        return median(self.server_cpu)


@dataclass(frozen=True, slots=True)
class Unusable:
    """No figure, and why: missing, did not start, or invalid."""

    reason: str


Outcome: TypeAlias = Measured | Unusable
Outcomes: TypeAlias = Mapping[str, Outcome]
"""By server, in the order of the table."""


def ratio(outcomes: Outcomes, peer: str) -> float | None:
    """Return the gateway's requests a second divided by the peer's; None without both."""
    ours, theirs = outcomes.get(GATEWAY), outcomes.get(peer)
    if isinstance(ours, Measured) and isinstance(theirs, Measured):
        return ours.requests_per_second / theirs.requests_per_second
    return None


def cpu_ratio(outcomes: Outcomes, peer: str) -> float | None:
    """Return the same of requests for each second of CPU."""
    ours, theirs = outcomes.get(GATEWAY), outcomes.get(peer)
    if isinstance(ours, Measured) and isinstance(theirs, Measured):
        return ours.per_cpu_second / theirs.per_cpu_second
    return None


def table(case: Case, outcomes: Outcomes) -> str:
    """Return the lines about one case."""
    lines = [
        f"{case.name}: {case.title}",
        f"  {'':10} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'req/CPU-s':>10} {'gateway is':>11}",
    ]
    for server, outcome in outcomes.items():
        if isinstance(outcome, Unusable):
            lines.append(f"  {server:10} {outcome.reason}")
            continue
        times = ratio(outcomes, server) if server != GATEWAY else None
        ours_is = "" if times is None else f"{times:.2f}x"
        row = (
            f"  {server:10} {outcome.requests_per_second:>9,.0f} {outcome.p50_ms:>8.2f} "
            f"{outcome.p99_ms:>8.2f} {outcome.per_cpu_second:>10,.0f} {ours_is:>11}"
        )
        if outcome.busy < BUSY_ENOUGH:
            row += f"  (bounded elsewhere: used {outcome.busy:.0%} of its core)"
        lines.append(row.rstrip())
    return "\n".join(lines)


def judge(aim: Aim, results: Mapping[str, Outcomes]) -> str:
    """Return one line: met, not met, or why that can't be said."""
    outcomes = results.get(aim.case)
    what = f"{aim.case} >= {aim.ratio} x {aim.peer or 'best peer'}"
    if outcomes is None:
        return f"{what}: not judged, the case was not run"
    ours = outcomes.get(GATEWAY)
    if not isinstance(ours, Measured):
        why = ours.reason if isinstance(ours, Unusable) else "it was not run"
        return f"{what}: not judged, gateway: {why}"
    peers = [aim.peer] if aim.peer else [name for name in outcomes if name != GATEWAY]
    ratios = {peer: value for peer in peers if (value := ratio(outcomes, peer)) is not None}
    if not ratios:
        return f"{what}: not judged, no peer was measured"
    # The best peer is the one against which we look worst.
    best = min(ratios, key=ratios.__getitem__)
    word = "met" if ratios[best] >= aim.ratio else "NOT met"
    unheard = [peer for peer in peers if peer not in ratios]
    without = f"; without {', '.join(unheard)}" if unheard else ""
    per_cpu = f" ({cpu_ratio(outcomes, best):.2f} x for each second of CPU)"
    return f"{what}: {word}, {ratios[best]:.2f} x {best}{per_cpu}{without}"


def as_json(
    *,
    machine: Mapping[str, Any],
    run: Mapping[str, Any],
    versions: Mapping[str, str | None],
    cases: Sequence[Case],
    results: Mapping[str, Outcomes],
    aims: Sequence[str],
) -> dict[str, Any]:
    """Return everything as one document; a server without a version is missing."""
    return {
        "machine": dict(machine),
        "run": dict(run),
        "versions": dict(versions),
        "missing": [name for name, version in versions.items() if version is None],
        "cases": {
            case.name: {
                "title": case.title,
                "servers": {
                    server: _server_json(results[case.name], server, outcome)
                    for server, outcome in results[case.name].items()
                },
            }
            for case in cases
            if case.name in results
        },
        "aims": list(aims),
    }


def _server_json(outcomes: Outcomes, server: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Unusable):
        return {"unusable": outcome.reason}
    return {
        "requests_per_second": round(outcome.requests_per_second),
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "requests_per_cpu_second": round(outcome.per_cpu_second),
        "gateway_is": ratio(outcomes, server),
        "gateway_is_per_cpu_second": cpu_ratio(outcomes, server),
        "rounds": [round(load.requests_per_second) for load in outcome.rounds],
        "wrk_cpu": [round(load.wrk_cpu, 2) for load in outcome.rounds],
        "server_cpu": [round(cpu, 2) for cpu in outcome.server_cpu],
    }
