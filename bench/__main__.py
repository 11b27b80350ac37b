"""The gateway against its peers on this machine, in one run: `python -m bench`.

Each server has one core to itself, wrk another. The origin shares wrk's core unless there
is a third; in all cases but one it is idle. Rounds are interleaved (A B C, A B C), so that
a machine that warms up or slows down does so for everyone.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bench import load, peers, report
from bench.cases import AIMS, CASES, ZIPF_OBJECTS, Case
from bench.load import Load, LoadFailed
from bench.peers import DidNotStart, Running, WrongAnswer
from bench.report import Measured, Outcome, Unusable

RESULTS = Path(__file__).parent / "results"
SHARED_MEMORY = Path("/dev/shm")

SWEEPS = 12
QUIET = 0.1
"""How busy other work may keep the machine before it is said that figures will be low."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and where."""

    seconds: int
    rounds: int
    server_core: int
    load_core: int
    origin_core: int


def plan(*, seconds: int, rounds: int) -> Plan:
    """Return what this machine allows; fewer than two cores measure nothing useful."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("the benchmark needs two cores: one for the server, one for the load")
    return Plan(seconds, rounds, cores[0], cores[1], cores[2 if len(cores) > 2 else 1])


class Bench:
    """One run: the servers that are up, those that aren't and why, and the results."""

    def __init__(self, how: Plan, origin: Running) -> None:
        self.how = how
        self.origin = origin
        self.running: dict[str, Running] = {}
        self.absent: dict[str, Unusable] = {}

    def start(self, wanted: Sequence[peers.Server], folder: Path, stack: ExitStack) -> None:
        """Start each server; one that can't be is remembered with the reason."""
        for server in wanted:
            if server.find() is None:
                reason = f"missing: {server.program} is not installed"
                self.absent[server.name] = Unusable(reason)
                continue
            try:
                self.running[server.name] = stack.enter_context(
                    peers.serving(
                        server,
                        origin_port=self.origin.port,
                        core=self.how.server_core,
                        folder=folder / server.name,
                    )
                )
            except DidNotStart as failure:
                self.absent[server.name] = Unusable(f"did not start: {failure}")

    def measure(self, case: Case) -> dict[str, Outcome]:
        """Return each server's outcome, those that aren't running included."""
        outcomes: dict[str, Outcome] = dict(self.absent)
        fit: list[str] = []
        for name, running in self.running.items():
            try:
                peers.verify(case, running.port_for(case), self.origin.port)
                if case.sweep:
                    self.sweep(case, running, case.sweep)
                fit.append(name)
            except (WrongAnswer, LoadFailed, OSError, HTTPException) as failure:
                outcomes[name] = Unusable(f"invalid: {failure}")
        seen: dict[str, list[tuple[Load, float]]] = {name: [] for name in fit}
        for _ in range(self.how.rounds):
            for name in [name for name in fit if name not in outcomes]:
                running = self.running[name]
                try:
                    seen[name].append(self.one_round(case, running))
                    peers.verify(case, running.port_for(case), self.origin.port)
                except (WrongAnswer, LoadFailed, OSError, HTTPException) as failure:
                    outcomes[name] = Unusable(f"invalid: {failure}")
        for name in fit:
            if name not in outcomes:
                loads, cpu = zip(*seen[name], strict=True)
                outcomes[name] = Measured(loads, cpu)
        return outcomes

    def sweep(self, case: Case, running: Running, script: str) -> None:
        """Have everything stored; a slow server needs several turns of a second to get through."""
        heard = peers.count(self.origin.port)
        for _ in range(SWEEPS):
            turn = self.load(case, running, seconds=1, script=script)
            before, heard = heard, peers.count(self.origin.port)
            if heard == before and turn.requests >= ZIPF_OBJECTS:
                return
        raise WrongAnswer(f"after {SWEEPS} sweeps it still asks the origin for some objects")

    def one_round(self, case: Case, running: Running) -> tuple[Load, float]:
        """Return what wrk saw and how busy the server was; WrongAnswer for a wrong run."""
        heard, used = peers.count(self.origin.port), running.cpu_seconds()
        result = self.load(case, running, seconds=self.how.seconds, script=case.script)
        used = running.cpu_seconds() - used
        check(case, result, peers.count(self.origin.port) - heard)
        # A tick at least, so that nobody divides by nothing.
        return result, max(used, 0.01) / self.how.seconds

    def load(self, case: Case, running: Running, *, seconds: int, script: str | None) -> Load:
        """Run wrk against one server."""
        return load.run(
            case, running.port_for(case), seconds=seconds, core=self.how.load_core, script=script
        )


def check(case: Case, result: Load, heard: int) -> None:
    """Raise WrongAnswer unless the answers of a whole run were as the case says."""
    if result.bad_statuses or result.socket_errors:
        raise WrongAnswer(
            f"{result.bad_statuses} responses of 400 and above, "
            f"{result.socket_errors} socket errors in {result.requests} requests"
        )
    if not result.requests:
        raise WrongAnswer("no request was answered")
    size = result.received_bytes / result.requests
    # A head is smaller than 1 KB; a 304 with a body would not be.
    if not case.body_bytes <= size <= case.body_bytes + 1024:
        raise WrongAnswer(f"{size:.0f} bytes a response instead of {case.body_bytes} and a head")
    share = heard / result.requests
    if case.path == "hit" and share > 0.001:
        raise WrongAnswer(f"{share:.1%} of the requests reached the origin; none should have")
    if case.path == "pass" and share < 0.99:
        raise WrongAnswer(f"{share:.1%} of the requests reached the origin; all should have")


def busy(seconds: float = 0.5) -> float:
    """Return how busy the machine is just now, all cores together, 0 to 1."""

    def ticks() -> tuple[int, int]:
        line = Path("/proc/stat").read_text().partition("\n")[0]
        values = [int(each) for each in line.split()[1:]]
        return sum(values[:8]), values[3] + values[4]

    total, idle = ticks()
    time.sleep(seconds)
    later, idle_later = ticks()
    return 1 - (idle_later - idle) / (later - total)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg(),
        "busy_before": round(busy(), 2),
    }


def wrk_version() -> str | None:
    """Return wrk's first line about itself; None when it isn't installed."""
    try:
        done = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return (done.stdout + done.stderr).strip().splitlines()[0]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one short round, under a minute")
    parser.add_argument(
        "--case",
        action="append",
        choices=[case.name for case in CASES],
        help="only this case; may be given several times",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[server.name for server in peers.SERVERS if server.name != peers.GATEWAY],
        help="only this peer beside the gateway; may be given several times",
    )
    parser.add_argument(
        "--seconds", type=int, metavar="N", help="how long each round lasts (default: 10)"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds, of which the median counts (default: 3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; the exit status is 1 when nothing could be measured."""
    asked = arguments()
    # So that a polite kill unwinds, and stops what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # wrk counts whole seconds.
    seconds, rounds = (1, 1) if asked.smoke else (10, 3)
    how = plan(seconds=asked.seconds or seconds, rounds=asked.rounds or rounds)
    wanted = [
        server
        for server in peers.SERVERS
        if server.name == peers.GATEWAY or not asked.peer or server.name in asked.peer
    ]
    cases = [case for case in CASES if not asked.case or case.name in asked.case]
    facts = machine()
    if facts["busy_before"] > QUIET:
        share = facts["busy_before"]
        print(f"warning: other work keeps this machine {share:.0%} busy; figures will be low")
    results: dict[str, Mapping[str, Outcome]] = {}
    try:
        with ExitStack() as stack:
            memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=memory))
            )
            origin = stack.enter_context(peers.origin(core=how.origin_core, folder=folder))
            bench = Bench(how, origin)
            bench.start(wanted, folder, stack)
            ceiling = load.run(
                next(case for case in CASES if case.name == "pass"),
                origin.port,
                seconds=how.seconds,
                core=how.load_core,
                script=None,
            ).requests_per_second
            print(f"the origin alone, beside wrk: {ceiling:,.0f} req/s; no pass can be faster\n")
            for case in cases:
                outcomes = bench.measure(case)
                # In the order of SERVERS, whether measured or not.
                results[case.name] = {server.name: outcomes[server.name] for server in wanted}
                print(report.table(case, results[case.name]) + "\n", flush=True)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (LoadFailed, DidNotStart) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    aims = [report.judge(aim, results) for aim in AIMS]
    print("\n".join(aims))
    document = report.as_json(
        machine=facts,
        run={
            "smoke": asked.smoke,
            "seconds": how.seconds,
            "rounds": how.rounds,
            "connections": load.CONNECTIONS,
            "cores": {
                "server": how.server_core,
                "wrk": how.load_core,
                "origin": how.origin_core,
            },
            "origin_alone_requests_per_second": round(ceiling),
        },
        versions={
            **{server.name: server.read_version() for server in wanted},
            "wrk": wrk_version(),
        },
        cases=cases,
        results=results,
        aims=aims,
    )
    file = asked.json or RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nwritten to {file}")
    return (
        0 if any(isinstance(o, Measured) for case in results.values() for o in case.values()) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
