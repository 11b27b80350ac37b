"""The parent of the workers: it serves nobody, so nothing that serves can take it down.

It holds one listening socket for each place. A place is filled again as soon as its worker
dies or retires, and connections that came meanwhile wait in the kernel on the place's
socket. It adds up what the workers count and tells it, with their state, at the admin
port. The first SIGTERM or SIGINT lets running exchanges finish, the second doesn't.
"""

import asyncio
import contextlib
import logging
import random
import resource
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway.background import Background
from gateway.control import addresses, totals
from gateway.control.admin import Admin, Readiness, Stage, WorkerStatus
from gateway.control.channel import Settings
from gateway.control.editor import Editor
from gateway.control.explain import Question
from gateway.control.explaining import Explainer
from gateway.control.history import History
from gateway.control.metrics import Facts
from gateway.control.process import State, WorkerProcess
from gateway.control.purge_desk import PurgeDesk
from gateway.control.purging import Receipt
from gateway.control.rules_file import RulesFile, together
from gateway.control.shared import SharedMemory
from gateway.control.token import admin_token
from gateway.control.warming import Warmer
from gateway.counters import Reading
from gateway.edge.insight import Looked, merged
from gateway.edge.last_call import take_no_more
from gateway.errors import ConfigurationError
from gateway.resilience.backoff import Backoff
from gateway.storage.purges import Purge

_log = logging.getLogger(__name__)

_BACKOFF = Backoff()
_SETTLED = 10.0
"""A worker that lived as long in seconds counts as healthy; its death as the first."""
_BEGIN_LIMIT = 60.0
_ANSWER_LIMIT = 1.0
_POLL_INTERVAL = 1.0
"""What a killed worker counted since the last poll is lost; never more than this."""
_RELOAD_LIMIT = 30.0
_DRAIN_GRACE = 5.0
"""What a worker gets beyond its drain limit before it is killed."""


@dataclass(slots=True)
class Place:
    """One listening socket and the worker that accepts on it."""

    name: str
    listening: socket.socket
    worker: WorkerProcess | None = None
    """None between one worker's end and the next one's start."""
    restarts: int = 0
    failures: int = 0
    """Workers that died young, in a row."""


class Supervisor:
    """Runs `gateway serve` from its sockets to its exit status."""

    def __init__(self, rules: RulesFile) -> None:
        self._rules = rules
        self._reloading = asyncio.Lock()
        self._places: list[Place] = []
        self._stage = Stage.STARTING
        self._rules_loaded = time.time()
        self._held = Background()
        self._present: set[WorkerProcess] = set()
        """Every worker whose reading isn't in `_past` yet, retiring ones included."""
        self._past = totals.nothing()
        self._shared = SharedMemory.new()
        """It outlives each of the workers."""
        self._desk = PurgeDesk(self._shared.fence, rules.in_force.workers)
        self._warmer = Warmer(
            lambda: addresses.bound(self._places[0].listening),
            lambda: rules.snapshot,
            self.look,
        )
        self._desk.on_purged = self._warmer.purged
        self._explainer = Explainer()
        self.history = History()
        self.editor = Editor(rules, self.reload)
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()

    @property
    def settings(self) -> Settings:
        """What we were asked to do, with the rules in force."""
        return self._rules.in_force

    async def run(self, announce: Callable[[str], None]) -> int:
        """Serve until told to stop; *announce* gets the one line that tells we are ready.

        Returns 0 after all exchanges ended, 1 when they were cut off by a second signal.
        Raises ConfigurationError when a worker or a port can't begin.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        _raise_descriptor_limit()
        self._rules.begin()

        token = admin_token()
        sockets = addresses.listen_shared(
            self.settings.listen, self.settings.workers, flag="--listen"
        )
        self._places = [
            Place(f"worker {number}", listening) for number, listening in enumerate(sockets, 1)
        ]
        try:
            admin_socket = addresses.listen(self.settings.admin, flag="--admin")
        except ConfigurationError:
            self._close_places()
            raise
        admin = Admin(self, addresses.bound(admin_socket), token)
        await admin.start(admin_socket)
        try:
            folder = self._desk.own(Path(self.settings.state_dir), self._rules.snapshot)
            self._rules.in_force = msgspec.structs.replace(self.settings, state_dir=str(folder))
            self._desk.begin(self._rules.snapshot, folder, self._held, self._present)
            self._desk.share_limits(self._shared.quotas, self._rules, self._held)
            await self._begin()
            if not self._stop.is_set():
                self._stage = Stage.SERVING
                announce(self._ready_line(addresses.bound(admin_socket)))
                self._held.spawn(self._desk.cdn.run(), name="purges for the CDN")
                self._held.spawn(self._poll(), name="poll of the workers' counts")
                self._warmer.remember_in(Path(self.settings.state_dir))
                self._held.spawn(self._warmer.run(), name="warming")
                self._held.spawn(self._rules.watch(self._changed), name="watch of the rules")
                await self._stop.wait()
            await self._end()
        finally:
            # Whatever happened: nobody is left behind.
            for worker in self._present:
                worker.kill()
            for worker in list(self._present):
                await worker.ended.wait()
            self._close_places()
            await admin.close()
            await self._desk.close()
            await self._held.close()
        return 1 if self._at_once.is_set() else 0

    async def facts(self) -> Facts:
        """Ask the workers and return what `/metrics` tells."""
        await self._ask_all()
        return Facts(
            reading=self._sum(),
            workers=self._accepting(),
            worker_restarts=sum(place.restarts for place in self._places),
            rules_loaded=self._rules_loaded,
            rules_current=self._rules.error is None,
            rules_failures=self._rules.failures,
            cdn=self._desk.cdn.counts,
            replicas=self._desk.facts,
            database=self._desk.database_facts,
        )

    async def reading(self) -> Reading:
        """Return fresh counts, summed over all workers, dead ones included."""
        await self._ask_all()
        return self._sum()

    async def look(self, most: int) -> Looked:
        """Return what the workers noticed about their *most* busy URLs."""
        found = await asyncio.gather(*(each.look(most, _ANSWER_LIMIT) for each in self._present))
        return merged(each for each in found if each is not None)

    def standing(self) -> tuple[int, int, float, str | None]:
        """Return workers at work, restarts, when the rules were loaded, and their error."""
        restarts = sum(place.restarts for place in self._places)
        return self._accepting(), restarts, self._rules_loaded, self._rules.error

    def readiness(self) -> Readiness:
        """Return what `/readyz` tells."""
        return Readiness(
            ready=self._stage is Stage.SERVING and self._accepting() > 0,
            stage=self._stage,
            workers=[_status(place) for place in self._places],
            restarts=sum(place.restarts for place in self._places),
            rules=self.settings.rules,
            rules_loaded=datetime.fromtimestamp(self._rules_loaded, UTC),
            rules_error=self._rules.error,
        )

    async def reload(self, *, force: bool = True) -> bool:
        """Take the rules file as it is now into force, in all workers.

        Without *force*, what hasn't changed isn't looked at; then it returns False. Raises
        ConfigurationError when it can't be used; then everything stays as it was.
        """
        # One after the other: two changes in a row must not overtake one another.
        async with self._reloading:
            settings = await self._rules.load_again(force=force)
            if settings is None:
                return False
            before = self.settings
            # Who begins from now on begins with the new ones.
            self._rules.in_force = settings
            accepting = [worker for worker in self._present if worker.state is State.ACCEPTING]
            complaints = await asyncio.gather(
                *(worker.reload(settings, _RELOAD_LIMIT) for worker in accepting)
            )
            complaint = next((each for each in complaints if each is not None), None)
            if complaint is not None:
                self._rules.in_force = before
                self._rules.refuse(
                    complaint, together(settings.rules_text or b"", settings.included or {})
                )
                await asyncio.gather(
                    *(worker.reload(before, _RELOAD_LIMIT) for worker in accepting)
                )
                raise ConfigurationError(complaint)
            self._rules.taken()
            self._rules_loaded = time.time()
            count = len(accepting)
            workers = "worker" if count == 1 else "workers"
            _log.info("the rules of %s are in force in %d %s", before.rules, count, workers)
            return True

    async def purge(self, purges: list[Purge]) -> Receipt:
        """Let every worker know of *purges*; return who said that it does."""
        return await self._desk.purge(purges, self._present, self._rules.snapshot)

    async def explain(self, question: Question) -> dict[str, Any]:
        """Explain *question* under the rules in force, with what the workers have stored."""
        return await self._explainer.answer(question, self.settings, list(self._present))

    def _spread(self, teller: WorkerProcess, purges: list[Purge]) -> None:
        """Let the others know of what *teller* noted first."""
        self._desk.spread(purges, teller, self._present, self._rules.snapshot)

    async def _changed(self, *, force: bool = False) -> None:
        """Act on a change of the rules file; what is wrong with it has been told."""
        with contextlib.suppress(ConfigurationError):
            await self.reload(force=force)

    def _accepting(self) -> int:
        return sum(
            place.worker is not None and place.worker.state is State.ACCEPTING
            for place in self._places
        )

    async def _begin(self) -> None:
        """Start every worker and wait until all accept; raises ConfigurationError."""
        for place in self._places:
            try:
                await self._fill(place)
            except OSError as error:
                raise ConfigurationError(f"{place.name} cannot be started: {error}") from error
        first = [place.worker for place in self._places if place.worker is not None]
        await _wait([worker.settled.wait() for worker in first], self._stop, _BEGIN_LIMIT)
        if self._stop.is_set():
            return
        for worker in first:
            if worker.state is State.ENDED:
                raise ConfigurationError(
                    worker.complaint or f"{worker.name} {worker.outcome} before it was ready"
                )
            if worker.state is State.STARTING:
                raise ConfigurationError(
                    f"{worker.name} wasn't ready within {_BEGIN_LIMIT:.0f} seconds"
                )
        for place in self._places:
            self._held.spawn(self._keep_filled(place), name=f"place of {place.name}")

    async def _fill(self, place: Place) -> None:
        seat = self._desk.seat()
        try:
            worker = await WorkerProcess.begin(
                place.name,
                self.settings,
                place.listening,
                self._held,
                seat,
                self._desk.known,
                self._spread,
                self._shared,
            )
        except OSError:
            self._desk.bury(seat)
            raise
        # No await between its first message and this: it misses no purge.
        self._present.add(worker)
        worker.on_passed = self._desk.passed
        place.worker = worker
        self._held.spawn(self._bury(worker), name=f"burial of {place.name}")
        if self._stop.is_set():
            # We were told to end while it was born; it has served nobody yet.
            worker.kill()

    async def _bury(self, worker: WorkerProcess) -> None:
        await worker.ended.wait()
        # One step without an await: no sum sees the worker twice, or not at all.
        self._present.discard(worker)
        self._desk.bury(worker.place)
        self._past = totals.total([self._past, totals.remains(worker.reading)])

    async def _keep_filled(self, place: Place) -> None:
        while place.worker is not None:
            worker = place.worker
            await worker.vacated.wait()
            if self._stop.is_set():
                return
            await self._replace(place, worker)

    async def _replace(self, place: Place, worker: WorkerProcess) -> None:
        if worker.state is State.ENDED:
            place.failures = 1 if worker.age >= _SETTLED else place.failures + 1
            event = worker.complaint or worker.outcome
        else:
            place.failures = 0
            event = "finishes what runs and ends, as it was told from outside"
        pause = _BACKOFF.pause(place.failures, random.random())  # noqa: S311 - no secret
        _log.warning(
            "%s (pid %d) %s; another takes its place %s",
            worker.name,
            worker.pid,
            event,
            f"in {pause:.1f} s" if pause else "at once",
        )
        await asyncio.sleep(pause)
        if self._stop.is_set():
            return
        try:
            await self._fill(place)
            place.restarts += 1
        except OSError as error:
            # No memory or no process to be had. The old worker stays in its place, ended,
            # so the next round tries again.
            _log.error("%s cannot be started: %s", place.name, error)
            await asyncio.sleep(_BACKOFF.longest)

    async def _ask_all(self) -> None:
        if self._present:
            await asyncio.gather(*(worker.ask(_ANSWER_LIMIT) for worker in self._present))

    def _sum(self) -> Reading:
        return totals.total([self._past, *(worker.reading for worker in self._present)])

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_INTERVAL)
            await self._ask_all()
            self.history.add(self._sum(), time.time())

    async def _end(self) -> None:
        """Drain all workers; those that don't end in time, or at a second signal, are cut."""
        self._stage = Stage.DRAINING
        # Nobody may wait on a socket that no worker will accept from: refused is better.
        self._close_places()
        for worker in self._present:
            worker.drain()
        await _wait(
            [worker.ended.wait() for worker in self._present],
            self._at_once,
            self.settings.drain_limit + _DRAIN_GRACE,
        )
        if self._present:
            _log.warning("%d workers are ended before their exchanges are", len(self._present))

    def _signalled(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._at_once.set()
            return
        _log.info(
            "%s: running exchanges may finish, for %.0f seconds at most; a second signal ends all",
            number.name,
            self.settings.drain_limit,
        )
        self._stage = Stage.DRAINING
        self._stop.set()

    def _close_places(self) -> None:
        for place in self._places:
            take_no_more(place.listening)
            place.listening.close()

    def _hung_up(self) -> None:
        _log.info("SIGHUP: the access log is opened anew, the rules are read again")
        for worker in self._present:
            worker.reopen()
        self._held.spawn(self._changed(force=True), name="reload at SIGHUP")

    def _ready_line(self, admin: addresses.Address) -> str:
        listen = addresses.bound(self._places[0].listening)
        count = self.settings.workers
        return (
            f"gateway: ready on http://{listen} ({count} worker{'s' if count > 1 else ''}, "
            f"admin http://{admin}, rules {self.settings.rules})"
        )


def _status(place: Place) -> WorkerStatus:
    if place.worker is None:
        return WorkerStatus(place.name, "starting", restarts=place.restarts)
    worker = place.worker
    return WorkerStatus(
        place.name,
        worker.state,
        restarts=place.restarts,
        pid=worker.pid,
        started=datetime.fromtimestamp(worker.started, UTC),
    )


async def _wait(
    works: Iterable[Coroutine[Any, Any, object]], unless: asyncio.Event, limit: float
) -> None:
    """Wait until all *works* are done, but not after *unless* is set or *limit* seconds."""
    everything = asyncio.gather(*works)
    called_off = asyncio.ensure_future(unless.wait())
    waiting: list[asyncio.Future[Any]] = [everything, called_off]
    await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _raise_descriptor_limit() -> None:
    """Let the workers hold as many connections as the system allows this user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            # macOS names "unlimited" as the hard limit and then refuses it.
            _log.warning("the limit of open files stays at %d", soft)
