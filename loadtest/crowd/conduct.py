"""Starts the processes of a crowd, tells them what to do, adds up what they report."""

import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import delivery, readings
from loadtest.crowd import costs
from loadtest.crowd.messages import Orders, Second, add_up
from loadtest.crowd.result import Result
from loadtest.definition import Question, batch_path, definition, users
from loadtest.place import ROOT, Place, started
from loadtest.record import GatewayReading, RunError
from loadtest.run import machine

A_SOURCE = 5_000
"""Connections from one address. Linux has some 28,000 ports for them, but takes every second one
first, and searches them one by one: near 14,000 a connection costs the kernel milliseconds."""
_SETTLE, _PATIENCE = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted."""

    users: int
    live: int
    rate: float
    cached_only: bool
    think: float
    ramp: float
    hold: float
    processes: int
    workers: int
    base: str | None
    admin: str | None
    state: Path

    @property
    def seconds(self) -> float:
        """How long it will take, about."""
        return self.ramp + _SETTLE + self.hold


class Conduct:
    """One measurement."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._seconds: list[tuple[int, int, Second]] = []
        """Process, its second, what happened."""
        self._lock = threading.Lock()
        self._listeners: list[threading.Thread] = []

    def run(self) -> Result:
        """Carry out the plan; RunError when it can't be."""
        begun = datetime.now(UTC)
        load = os.getloadavg()[0]
        with ExitStack() as stack:
            place = self._place(stack)
            people = {
                email: delivery.log_in(place.base, email, users().password)
                for email in users().weights()
            }
            before = costs.available_bytes()
            clients = stack.enter_context(self._clients(place, people))
            parties = costs.Parties(
                [psutil.Process(each.pid) for each in clients],
                place.gateway,
                _sibling(place.gateway),
            )
            measured = self._follow(clients, parties, place)
        return self._result(begun, load, before, measured)

    def _place(self, stack: ExitStack) -> Place:
        plan = self._plan
        if plan.base is not None:
            return Place(plan.base.rstrip("/"), plan.admin, None)
        self._console.print("starting the hub and the gateway (the first start fills the database)")
        plan.state.mkdir(parents=True, exist_ok=True)
        rules = plan.state / "crowd-rules.yaml"
        # Each stream of events keeps a connection to the hub for itself.
        rules.write_text(with_connections((ROOT / "rules.yaml").read_text(), plan.live + 256))
        return stack.enter_context(started(plan.workers, plan.state, rules))

    @contextmanager
    def _clients(
        self, place: Place, people: dict[str, str]
    ) -> Iterator[list[subprocess.Popen[bytes]]]:
        clients: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(self._plan.processes):
                client = subprocess.Popen(
                    [sys.executable, "-m", "loadtest.crowd.client"],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                clients.append(client)
                assert client.stdin is not None
                client.stdin.write(msgspec.json.encode(self._orders(number, place, people)) + b"\n")
                client.stdin.flush()
                listener = threading.Thread(target=self._hear, args=(number, client), daemon=True)
                listener.start()
                self._listeners.append(listener)
            yield clients
        finally:
            for client in clients:
                client.kill()
                client.wait()

    def _orders(self, number: int, place: Place, people: dict[str, str]) -> Orders:
        plan = self._plan
        parts = urlsplit(place.base)
        mine = share(plan.users, plan.processes, number)
        needed = -(-mine // A_SOURCE)
        weights = users().weights()
        return Orders(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 80,
            # The loopback network is 127.0.0.0/8: one part of it for each process.
            sources=tuple(f"127.0.{number + 1}.{place + 1}" for place in range(needed)),
            a_source=A_SOURCE,
            users=mine,
            live=share(plan.live, plan.processes, number),
            ramp=plan.ramp,
            settle=_SETTLE,
            patience=_PATIENCE,
            hold=plan.hold,
            think=plan.think,
            rate=plan.rate / plan.processes,
            people=tuple(people.values()),
            weights=tuple(weights[email] for email in people),
            questions=questions(plan),
        )

    def _hear(self, number: int, client: subprocess.Popen[bytes]) -> None:
        assert client.stdout is not None
        for at, line in enumerate(client.stdout):
            second = msgspec.json.decode(line, type=Second)
            with self._lock:
                self._seconds.append((number, at, second))

    def _follow(
        self, clients: Sequence[subprocess.Popen[bytes]], parties: costs.Parties, place: Place
    ) -> "_Measured":
        """Show how it goes, and read what it costs from when everybody is there to the end."""
        plan = self._plan
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
        )
        measured = _Measured()
        with progress:
            task = progress.add_task("connecting", total=plan.seconds, figures="")
            begun = time.monotonic()
            while any(client.poll() is None for client in clients):
                time.sleep(0.5)
                latest = self._latest()
                measuring = bool(latest) and all(second.measured for second in latest)
                if measuring and not measured.since:
                    measured.begin(parties, _reading(place))
                if measured.since and measured.lasted < plan.hold - 2:
                    measured.look(parties, place)
                progress.update(
                    task,
                    completed=time.monotonic() - begun,
                    description="measuring" if measuring else "connecting",
                    figures=(
                        f"{sum(second.connected for second in latest):,} connected  "
                        f"{sum(second.requests for second in latest):,} req/s  "
                        f"errors {sum(sum(second.errors.values()) for second in latest):,}"
                    ),
                )
        for listener in self._listeners:
            # Their last lines may still be in the pipe.
            listener.join()
        failed = [client.returncode for client in clients if client.returncode]
        if failed or not measured.since:
            raise RunError(f"a process of the client ended early, with status {failed}")
        return measured

    def _latest(self) -> list[Second]:
        with self._lock:
            newest = {number: second for number, _, second in self._seconds}
        return list(newest.values())

    def _result(self, begun: datetime, load: float, before: int, measured: "_Measured") -> Result:
        plan = self._plan
        during = [each for each in self._seconds if each[2].measured]
        whole = add_up([second for _, _, second in during])
        kinds: Counter[str] = Counter()
        before_that: Counter[str] = Counter()
        for _, _, second in self._seconds:
            (kinds if second.measured else before_that).update(second.errors)
        held: defaultdict[int, list[int]] = defaultdict(list)
        listening: defaultdict[int, list[int]] = defaultdict(list)
        slow: Counter[str] = Counter()
        together: defaultdict[int, list[Second]] = defaultdict(list)
        for number, at, second in during:
            held[number].append(second.connected)
            listening[number].append(second.listening)
            slow.update(second.slow)
            together[at].append(second)
        # The last of them is what was left when the time was over.
        series = [add_up(together[at]) for at in sorted(together)][: math.ceil(plan.hold)]
        return Result(
            machine=machine(),
            started=begun.isoformat(timespec="seconds"),
            load=round(load, 2),
            users=plan.users,
            held=sum(min(each) for each in held.values()),
            listening=sum(min(each) for each in listening.values()),
            rate=plan.rate,
            think=plan.think,
            seconds=plan.hold,
            requests=whole.count,
            cached=sum(second.cached for _, _, second in during),
            errors=sum(sum(second.errors.values()) for _, _, second in during),
            kinds=dict(kinds.most_common()),
            kinds_before=dict(before_that.most_common()),
            slow=dict(slow.most_common()),
            series=tuple(
                (each.count, round(each.percentile(95), 1), round(each.percentile(99), 1))
                for each in series
            ),
            behind=max((second.behind for _, _, second in during), default=0),
            p50_ms=round(whole.percentile(50), 3),
            p95_ms=round(whole.percentile(95), 3),
            p99_ms=round(whole.percentile(99), 3),
            max_ms=round(whole.largest, 3),
            peak_rps=max((each.count for each in series), default=0),
            workers=plan.workers,
            costs=measured.costs(),
            kernel_bytes=measured.kernel,
            system_bytes=max(0, before - measured.available),
            gateway=measured.gateway(),
        )


class _Measured:
    """Costs, read at the beginning of the measurement and again and again until its end."""

    def __init__(self) -> None:
        self.since = 0.0
        self._last = 0.0
        self._cpu_first: dict[str, float] = {}
        self._cpu_last: dict[str, float] = {}
        self._resident: dict[str, int] = {}
        self._first: readings.Reading | None = None
        self._newest: readings.Reading | None = None
        self.kernel = 0
        self.available = 0

    @property
    def lasted(self) -> float:
        """How long it has been since the beginning; at the end people leave."""
        return time.monotonic() - self.since

    def begin(self, parties: costs.Parties, reading: readings.Reading | None) -> None:
        """Note where everything stands as the measurement begins."""
        self.since = time.monotonic()
        self._cpu_first = parties.cpu()
        self._first = reading
        self.available = costs.available_bytes()

    def look(self, parties: costs.Parties, place: Place) -> None:
        """Note where everything stands now, at most once in five seconds."""
        now = time.monotonic()
        if now < self._last + 5:
            return
        try:
            cpu, resident = parties.cpu(), parties.resident()
        except psutil.NoSuchProcess:
            # A client ended between our two looks at it; the last reading stands.
            return
        self._last, self._cpu_last, self._resident = now, cpu, resident
        self._newest = _reading(place) or self._newest
        self.kernel = max(self.kernel, costs.socket_bytes())
        self.available = min(self.available, costs.available_bytes())

    def costs(self) -> dict[str, costs.Cost]:
        """Return what each party used."""
        seconds = max(self._last - self.since, 1e-9)
        return {
            name: costs.Cost(
                # A process that ended in between takes its time with it.
                resident,
                max(0.0, round((self._cpu_last[name] - self._cpu_first[name]) / seconds, 3)),
            )
            for name, resident in self._resident.items()
        }

    def gateway(self) -> GatewayReading | None:
        """Return what the gateway counted; None when its admin port wasn't reachable."""
        if self._first is None or self._newest is None:
            return None
        return readings.gateway(self._first, self._newest, None)


def _reading(place: Place) -> readings.Reading | None:
    if place.admin is None:
        return None
    try:
        return readings.read(f"{place.admin}/metrics")
    except readings.Unreadable:
        return None


def _sibling(gateway: psutil.Process | None) -> psutil.Process | None:
    """Return the hub that was started beside *gateway*; None when there is none."""
    parent = gateway.parent() if gateway else None
    if parent is None:
        return None
    return next((each for each in parent.children() if "upstream" in each.cmdline()), None)


def share(whole: int, parts: int, number: int) -> int:
    """Return how much of *whole* part *number* of *parts* gets; together they get all."""
    return whole // parts + (number < whole % parts)


def questions(plan: Plan) -> tuple[tuple[float, str], ...]:
    """Return what is asked: the crowd's own mix, or with a rate the stress test's."""
    if plan.rate:
        paths = definition().test("api_stress").endpoints
        return tuple((1.0, path) for path in paths if not plan.cached_only or "/trpc/" in path)
    return tuple((each.weight, _target(each)) for each in definition().crowd.questions)


def _target(question: Question) -> str:
    if not question.batch:
        return question.path
    inputs: dict[str, dict[str, str]] = {str(place): {} for place in range(len(question.batch))}
    return batch_path(question.batch, msgspec.json.encode(inputs).decode())


def with_connections(rules: str, connections: int) -> str:
    """Return *rules* with so many connections to the hub for each worker, or raise RunError."""
    lines = rules.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.startswith("    servers: "):
            lines.insert(
                at + 1, f"    connections: {{max: {connections}, waiting: {connections}}}\n"
            )
            return "".join(lines)
    raise RunError("rules.yaml: expected the servers of the hub on a line of their own")
