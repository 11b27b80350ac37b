"""One load test from its start to its report."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import delivery, engine, readings, record, report
from loadtest.collect import Collection
from loadtest.definition import definition
from loadtest.place import STATE, Place, started
from loadtest.record import Run
from loadtest.summary import verdicts


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants run, and on what."""

    test: str
    profile: str
    tool: str
    scale: float
    base: str | None
    """None starts the hub and the gateway for it."""
    admin: str | None
    hub: str | None
    workers: int
    state: Path
    """Where a hub that is started for it keeps its database."""
    out: Path | None
    """The folder for the results; None makes one under `.state/loadtest`."""


def run(wish: Wish, console: Console) -> tuple[Run, Path]:
    """Make the run; return it and the folder where it and its report are.

    RunError or DefinitionError when it can't be made.
    """
    everything = definition()
    chosen = everything.profile(wish.test, wish.profile)
    version = engine.version(wish.tool)
    stamp = datetime.now(UTC)
    load = os.getloadavg()[0]
    folder = wish.out or STATE / f"{wish.test}-{wish.profile}-{stamp:%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if wish.base is None:
            console.print("starting the hub and the gateway (the first start fills the database)")
            place = stack.enter_context(started(wish.workers, wish.state))
        else:
            place = Place(wish.base.rstrip("/"), wish.admin, wish.hub)
        before = _gateway_metrics(place)
        hub_before = _hub_metrics(place)
        collection = Collection(everything)
        variables = {
            "BASE": place.base,
            "PROFILE": wish.profile,
            "SCALE": f"{wish.scale:g}",
            "OUT": str(folder.absolute()),
        }
        with _Display(
            console, f"{wish.test}, {wish.profile}", chosen.seconds, collection
        ) as display:
            summary = engine.run(wish.tool, wish.test, variables, collection, display.tick)
        after = _gateway_metrics(place)
        hub_after = _hub_metrics(place)
        result = Run(
            test=wish.test,
            profile=wish.profile,
            scale=wish.scale,
            engine=version,
            base=place.base,
            started=stamp.isoformat(timespec="seconds"),
            seconds=collection.seconds,
            machine=machine(),
            load=round(load, 2),
            peak=round(chosen.peak * wish.scale),
            unit=everything.test(wish.test).unit,
            **_measured(collection, summary),
            gateway=(readings.gateway(before, after, place.gateway) if before and after else None),
            delivery=_delivery(place, console),
            slowest_query=(
                readings.slowest_query(hub_before, hub_after) if hub_before and hub_after else None
            ),
        )
    record.write(result, folder)
    (folder / "report.html").write_text(report.page(result))
    return result, folder


def _measured(collection: Collection, summary: dict[str, Any]) -> dict[str, Any]:
    total = collection.total
    return {
        "total": record.Times.of(total.times),
        "failed": total.errors,
        "hit_rate": total.served / total.asked if total.asked else None,
        "stale_rate": collection.stale / total.asked if total.asked else None,
        "origin_requests": total.origin,
        "dropped": collection.dropped,
        "thresholds": tuple(verdicts(summary)),
        "metrics": {name: each["values"] for name, each in sorted(summary["metrics"].items())},
        "series": collection.series(),
        "endpoints": collection.endpoints(),
        "words": collection.words(),
        "failures": collection.failures(),
    }


def machine() -> str:
    """Describe where this runs, in one line."""
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = " ".join(line.partition(":")[2].split())
                break
    except OSError:
        model = platform.processor() or model
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} processors, {model}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def _gateway_metrics(place: Place) -> readings.Reading | None:
    return _metrics(place.admin)


def _hub_metrics(place: Place) -> readings.Reading | None:
    return _metrics(place.hub)


def _metrics(address: str | None) -> readings.Reading | None:
    if address is None:
        return None
    try:
        return readings.read(f"{address.rstrip('/')}/metrics")
    except readings.Unreadable:
        return None


def _delivery(place: Place, console: Console) -> record.Delivery | None:
    try:
        return delivery.measure(place.base)
    except delivery.CannotTell as error:
        console.print(f"what answers weigh wasn't measured: {error}")
        return None


class _Display:
    """A bar, and how the last second went."""

    def __init__(self, console: Console, title: str, seconds: float, source: Collection) -> None:
        self._source = source
        self._seconds = seconds
        self._begun = 0.0
        self._shown = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._task = self._progress.add_task(title, total=seconds, figures="logging in")
        self._clock: Callable[[], float] = time.monotonic

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.update(self._task, completed=self._seconds, figures="done")
        self._progress.stop()

    def tick(self) -> None:
        """Show what came since the last time, at most once a second."""
        now = self._clock()
        if not self._begun:
            if not self._source.total.times.count:
                return
            self._begun = self._shown = now
        if now - self._shown < 1:
            return
        recent = self._source.take_recent()
        rate = recent.times.count / (now - self._shown)
        hits = f"{recent.served / recent.asked:.0%}" if recent.asked else "-"
        self._shown = now
        self._progress.update(
            self._task,
            completed=now - self._begun,
            figures=(
                f"{rate:,.0f} req/s  p95 {recent.times.percentile(95):.0f} ms  "
                f"hits {hits}  errors {recent.errors}"
            ),
        )
