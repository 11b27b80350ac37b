"""What holding a crowd, or asking at a rate, came to."""

from pathlib import Path

import msgspec

from loadtest.crowd.costs import Cost
from loadtest.record import GatewayReading

CALM_MS = 50.0
"""The aim for the 99th percentile at a steady rate."""
_MIB = 2**20


class Result(msgspec.Struct, frozen=True):
    """Everything measured while everybody was there."""

    machine: str
    started: str
    load: float
    """The load average of the machine before anything was started: what else was going on."""
    users: int
    """Wanted."""
    held: int
    """The fewest that were connected in any second of the measurement."""
    listening: int
    """How many of those heard events, at the least."""
    rate: float
    """Requests a second that were wanted; 0 when users asked after thinking."""
    think: float
    seconds: float
    requests: int
    cached: int
    errors: int
    kinds: dict[str, int]
    """The errors by what happened."""
    kinds_before: dict[str, int]
    """Those before the measurement, while people were still coming."""
    slow: dict[str, int]
    """Answers that took longer than half a second, by what was asked."""
    series: tuple[tuple[int, float, float], ...]
    """For each second the answers, and the 95th and 99th percentile of their times in ms."""
    behind: int
    """The most questions that were overdue at the end of a second."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    peak_rps: int
    workers: int
    costs: dict[str, Cost]
    kernel_bytes: int
    """TCP's memory in the kernel, both ends."""
    system_bytes: int
    """Memory that the system had less than before anybody connected; everything is in it."""
    gateway: GatewayReading | None

    @property
    def rps(self) -> float:
        """Answers a second, on average."""
        return self.requests / self.seconds

    @property
    def well(self) -> bool:
        """Whether everybody was held, and fewer than one in a hundred answers failed."""
        return self.held >= self.users and self.errors * 100 <= self.requests

    def write(self, file: Path) -> None:
        """Keep it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))


def text(result: Result) -> str:
    """Return it for a terminal."""
    asked = f"{result.rate:,.0f} a second wanted" if result.rate else f"think {result.think:g} s"
    lines = [
        f"{result.held:,} of {result.users:,} users held for {result.seconds:.0f} s, "
        f"{result.listening:,} of them listening to events; {asked}",
        f"  {result.requests:,} answers, {result.rps:,.0f} a second, {result.peak_rps:,} at the "
        f"most; {result.cached / max(1, result.requests):.1%} from the cache",
        f"  p50 {result.p50_ms:.2f} ms   p95 {result.p95_ms:.2f} ms   p99 {result.p99_ms:.2f} ms   "
        f"max {result.max_ms:.1f} ms",
        f"  errors {result.errors:,}" + (f": {result.kinds}" if result.kinds else ""),
    ]
    if result.kinds_before:
        lines.append(f"  errors while people were coming: {result.kinds_before}")
    if result.slow:
        lines.append(f"  over half a second: {result.slow}")
    if result.rate:
        calm = sum(p99 < CALM_MS for _, _, p99 in result.series)
        lines.append(f"  P99 below {CALM_MS:.0f} ms in {calm} of {len(result.series)} seconds")
    if result.behind:
        lines.append(f"  overdue questions at the end of a second: up to {result.behind:,}")
    for name, cost in result.costs.items():
        each = cost.resident_bytes / max(1, result.held)
        lines.append(
            f"  {name:<17} {cost.resident_bytes / _MIB:8,.0f} MiB ({each:,.0f} bytes a user)   "
            f"{cost.cores:.2f} cores"
        )
    if result.load > 0.5:
        lines.append(f"  before it began the machine was busy already: load {result.load:.1f}")
    lines += [
        f"  {'sockets in kernel':<17} {result.kernel_bytes / _MIB:8,.0f} MiB",
        f"  {'whole system':<17} {result.system_bytes / _MIB:8,.0f} MiB more than before",
    ]
    return "\n".join(lines)
