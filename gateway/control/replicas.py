"""The other gateways: purges travel between them on a stream in Valkey, which forgets nothing.

Each replica reads the stream from where it last was, so one that was cut off, stood still or
was started anew hears of every purge before it relies on anything again. As long as it reads,
it renews until when its workers may rely on what they have; when it can't read because Valkey
doesn't answer, it goes by itself: the site stays up, and what other replicas stored isn't used.

The clocks of replicas may differ by `SKEW` seconds.
"""

import asyncio
import contextlib
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.background import Background
from gateway.control.purge_book import PurgeBook
from gateway.control.purging import Receipt, ReplicaReceipt
from gateway.resilience.backoff import Backoff
from gateway.storage.fence import ALWAYS, Fence
from gateway.storage.keys import Prefix
from gateway.storage.local import TierDown
from gateway.storage.purges import Kind, Mode, Purge
from gateway.storage.redis import RedisStore
from gateway.storage.settings import RedisSettings

_log = logging.getLogger(__name__)

LEASE_SECONDS = 0.5
"""How long after a look at the stream workers may rely on what they have."""
SKEW = 2.0
_BLOCK_SECONDS = 0.1
_SILENCE_SECONDS = 0.2
"""Beyond what it was asked to wait, after which Valkey counts as gone."""
_STALLED_SECONDS = 0.1
_KEPT = 20_000
"""Purges in the stream, about: who missed more than that begins anew."""
_READ_AT_ONCE = 1000
_ANSWER_SECONDS = 2.0
_REGISTERED_SECONDS = 5.0
_REMEMBERED_SECONDS = 60.0
_MOST_WAITING = 10_000
_PAUSES = Backoff(first=0.2, longest=5.0)
Hear = Callable[[list[Purge], float], Coroutine[Any, Any, Receipt]]
"""Applies what others purge, before it returns; what it returns brings the workers' word."""


class _Entry(msgspec.Struct, array_like=True):
    """One entry of the stream."""

    source: str
    number: int
    """Which question of the source it is; 0 wants no answer."""
    at: float
    purges: list[Purge]


class _Answer(msgspec.Struct, array_like=True):
    """What a replica says when it has applied an entry."""

    number: int
    name: str
    applied: bool


@dataclass(slots=True)
class _Asked:
    """A purge whose receipts are being gathered."""

    number: int
    began: float
    sent: asyncio.Future[bool]
    answers: dict[str, ReplicaReceipt] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Replicas:
    """This gateway among others with the same Valkey and prefix."""

    def __init__(
        self, settings: RedisSettings, fence: Fence, book: PurgeBook, hear: Hear, held: Background
    ) -> None:
        """Let *hear* apply what others purge; *held* holds what runs in the background."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self._fence = fence
        self._book = book
        self._hear = hear
        self._held = held
        self.store = RedisStore(settings, held, monotonic=time.monotonic, chance=random.random)
        self._stream = self.store.name(Prefix.PURGES)
        self._source = f"{settings.address.told}/{self._stream}"
        self._registry = self.store.name(Prefix.REPLICAS)
        self._waiting: list[tuple[_Entry, asyncio.Future[bool] | None]] = []
        self._recent: list[tuple[float, _Entry]] = []
        self._wanted = asyncio.Event()
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._added = 0
        self._told_detached = False
        self.lag = 0.0
        """Seconds from the last purge of another's to its application here."""
        self.heard = 0
        """Purges of others applied."""
        self.published = 0

    # What begins here.

    def publish(self, purges: list[Purge], at: float) -> None:
        """Tell the others of *purges*, at once or as soon as Valkey answers."""
        self._send(_Entry(self.name, 0, at, purges), None)

    def ask(self, purges: list[Purge], at: float) -> _Asked:
        """Tell the others of *purges*; `answers` returns what they say."""
        self._number += 1
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asked = _Asked(self._number, time.perf_counter(), sent)
        self._asked[self._number] = asked
        self._send(_Entry(self.name, self._number, at, purges), sent)
        return asked

    async def answers(self, asked: _Asked) -> list[ReplicaReceipt]:
        """Return what became of *asked* at each replica that is known; in two seconds at most."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if not await asked.sent:
                    return [ReplicaReceipt("others", applied=False, ms=_ms(asked.began))]
                others = await self._others()
                while not others <= asked.answers.keys():
                    asked.changed.clear()
                    await asked.changed.wait()
        except TimeoutError:
            others = await self._others()
            if not asked.sent.done():
                others = others or {"others"}
        finally:
            del self._asked[asked.number]
        silent = [
            ReplicaReceipt(name, applied=False, ms=_ms(asked.began))
            for name in sorted(others - asked.answers.keys())
        ]
        return [*(asked.answers[name] for name in sorted(asked.answers)), *silent]

    async def _others(self) -> set[str]:
        try:
            since = time.time() - _REGISTERED_SECONDS
            found = await self.store.ask(
                lambda to: to.zrangebyscore(self._registry, since, "+inf"), 0.5
            )
        except TierDown:
            return set()
        return {name.decode() for name in found} - {self.name}

    def _send(self, entry: _Entry, sent: asyncio.Future[bool] | None) -> None:
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - _REMEMBERED_SECONDS:
            del self._recent[0]
        if len(self._recent) < _MOST_WAITING:
            self._recent.append((now, entry))
        self._waiting.append((entry, sent))
        if len(self._waiting) > _MOST_WAITING:
            # More than can be told one by one: everything, then.
            at = max(each.at for each, _ in self._waiting)
            for _, one in self._waiting:
                if one is not None and not one.done():
                    one.set_result(False)
            every = [Purge(Kind.ALL, mode=Mode.HARD)]
            self._waiting = [(_Entry(self.name, 0, at, every), None)]
        self._wanted.set()

    async def _publish(self) -> None:
        """Write to the stream what waits, in order, until told to end."""
        failures = 0
        while True:
            await self._wanted.wait()
            batch = self._waiting[:500]
            if not batch:
                self._wanted.clear()
                continue
            try:
                await self.store.ask(lambda to, some=batch: self._add(to, some), 1.0)  # type: ignore[misc]
            except TierDown:
                failures += 1
                for _, sent in batch:
                    if sent is not None and not sent.done():
                        sent.set_result(False)
                await asyncio.sleep(_PAUSES.pause(failures + 1, random.random()))  # noqa: S311
                continue
            failures = 0
            self.published += len(batch)
            del self._waiting[: len(batch)]
            for _, sent in batch:
                if sent is not None and not sent.done():
                    sent.set_result(True)

    async def _add(self, to: Any, batch: list[tuple[_Entry, Any]]) -> None:
        pipe = to.pipeline(transaction=False)
        for entry, _ in batch:
            fields = {b"e": msgspec.msgpack.encode(entry)}
            pipe.xadd(self._stream, fields, maxlen=_KEPT, approximate=True)
        await pipe.execute()

    # What comes from others.

    async def run(self) -> None:
        """Follow the stream, and speak for this replica, until cancelled."""
        self._held.spawn(self._publish(), name="purges for other replicas")
        self._held.spawn(self._take_answers(), name="receipts of other replicas")
        self._held.spawn(self._register(), name="registration among replicas")
        failures = 0
        while True:
            try:
                await self._catch_up()
                failures = 0
                await self._follow()
            except TierDown as error:
                failures += 1
                self._detach(str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSES.pause(failures + 1, random.random()))  # noqa: S311

    async def close(self) -> None:
        """Tell the others what waits still, and that this replica is gone."""
        with contextlib.suppress(TierDown, TimeoutError):
            if self._waiting:
                await self.store.ask(lambda to: self._add(to, self._waiting), 1.0)
            await self.store.ask(lambda to: to.zrem(self._registry, self.name), 0.5)
        await self.store.close()

    async def _catch_up(self) -> None:
        """Apply all that was missed; raises TierDown."""
        began = time.monotonic()
        await self._look_for_gap()
        while True:
            asked_at = time.monotonic()
            entries = await self._read(None)
            if not entries:
                break
            self._apply(entries)
        self._renew(asked_at)
        if not self._fence.attached:
            self._fence.attached = True
            took = time.monotonic() - began
            _log.info("purges of other replicas are known up to now, after %.3f s", took)
        self._told_detached = False

    async def _look_for_gap(self) -> None:
        """Purge everything before what the stream still has, where we missed some of it."""
        try:
            info = await self._ask(lambda to: to.xinfo_stream(self._stream), 1.0)
        except TierDown as error:
            if "no such key" not in str(error):
                raise
            info = {}
        first = info.get("first-entry")
        added = int(info.get("entries-added", 0))
        if added < self._added:
            # It was emptied, or a replica of it took over: what we said may be lost.
            for _, entry in self._recent:
                self._waiting.append((entry, None))
            self._recent.clear()
            self._wanted.set()
        self._added = added
        if first is None:
            return
        cursor = self._book.cursors.get(self._source, "0-0")
        oldest = first[0].decode()
        trimmed = added > int(info.get("length", added))
        if trimmed and _order(cursor) < _order(oldest):
            at = _order(oldest)[0] / 1000 + SKEW
            _log.warning(
                "more purges were missed than the stream keeps: what was stored before is stale"
            )
            await self._hear([Purge(Kind.ALL, mode=Mode.HARD)], min(at, time.time()))

    async def _follow(self) -> None:
        """Apply what comes, and say until when nothing is missing; raises TierDown."""
        checked = time.monotonic()
        while True:
            asked_at = time.monotonic()
            # After standing still we want to know at once, not when something comes.
            waits = asked_at < self._fence.until - LEASE_SECONDS / 2
            entries = await self._read(_BLOCK_SECONDS if waits else None)
            if entries:
                self._apply(entries)
            elif not waits:
                await asyncio.sleep(0)
            self._renew(asked_at)
            if asked_at - checked > 1.0:
                checked = asked_at
                await self._look_for_gap()

    def _renew(self, asked_at: float) -> None:
        self._fence.until = asked_at + LEASE_SECONDS

    async def _read(self, block: float | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
        cursor = self._book.cursors.get(self._source, "0-0")
        milliseconds = None if block is None else int(block * 1000)
        said = await self._ask(
            lambda to: to.xread({self._stream: cursor}, count=_READ_AT_ONCE, block=milliseconds),
            (block or 0.0) + _SILENCE_SECONDS,
        )
        if not said:
            return []
        # RESP2 and RESP3 say it differently, and so do clients of clusters.
        _, entries = next(iter(said.items())) if isinstance(said, dict) else said[0]
        while entries and isinstance(entries[0], list) and isinstance(entries[0][0], tuple | list):
            entries = entries[0]
        return list(entries)

    async def _ask(self, work: Callable[[Any], Awaitable[Any]], patience: float) -> Any:
        """Return what *work* does within *patience* seconds of our own time; raises TierDown.

        When we stood still ourselves, its answer lies ready, and isn't late.
        """
        task = asyncio.ensure_future(work(self.store.client))
        try:
            for _ in range(3):
                began = time.monotonic()
                await asyncio.wait({task}, timeout=patience)
                if task.done():
                    try:
                        return task.result()
                    except Exception as error:
                        raise TierDown(str(error) or type(error).__name__) from error
                if time.monotonic() - began < patience + _STALLED_SECONDS:
                    break
            raise TierDown(f"it said nothing for {patience:.1f} s")
        finally:
            if not task.done():
                task.cancel()
                # Not awaited itself: then our own cancellation couldn't be told from its.
                await asyncio.wait({task}, timeout=_SILENCE_SECONDS)
            task.add_done_callback(_seen)

    def _apply(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        last = ""
        for number, fields in entries:
            last = number.decode()
            try:
                entry = msgspec.msgpack.decode(fields[b"e"], type=_Entry)
            except (msgspec.DecodeError, KeyError):
                _log.error(
                    "an entry of %s can't be read: all that is stored is stale", self._source
                )
                told = self._hear([Purge(Kind.ALL, mode=Mode.HARD)], time.time())
                self._held.spawn(told, name="purge of everything")
                continue
            if entry.source == self.name:
                continue
            now = time.time()
            # By our clock, which is what our own fetches are dated by; but never earlier than
            # they said, and not much later, so that catching up leaves what came since.
            told = self._hear(entry.purges, max(entry.at, min(now, entry.at + SKEW)))
            self.heard += len(entry.purges)
            self.lag = max(0.0, now - entry.at)
            # A worker that stands still holds nobody up: the fence stands before it already.
            self._held.spawn(self._answer(entry, told), name="receipt for another replica")
        self._book.set_cursor(self._source, last)

    async def _answer(self, entry: _Entry, told: Coroutine[Any, Any, Receipt]) -> None:
        applied = (await told).applied
        if entry.number:
            answer = msgspec.msgpack.encode(_Answer(entry.number, self.name, applied))
            with contextlib.suppress(TierDown):
                await self.store.publish(self.store.name(Prefix.ACKS, entry.source), answer)

    def _detach(self, why: str) -> None:
        """Go by ourselves: nothing of other replicas is used, and nobody is made to wait."""
        self._fence.attached = False
        self._fence.until = ALWAYS
        if not self._told_detached:
            self._told_detached = True
            _log.warning(
                "purges of other replicas don't come in: %s; this one goes by itself until they do",
                why,
            )

    # Who is there.

    async def _register(self) -> None:
        while True:
            with contextlib.suppress(TierDown):
                await self.store.ask(self._say_here, 0.5)
            await asyncio.sleep(1.0)

    async def _say_here(self, to: Any) -> None:
        now = time.time()
        pipe = to.pipeline(transaction=False)
        pipe.zadd(self._registry, {self.name: now})
        pipe.zremrangebyscore(self._registry, "-inf", now - 60)
        await pipe.execute()

    async def _take_answers(self) -> None:
        failures = 0
        while True:
            try:
                channel = self.store.name(Prefix.ACKS, self.name)
                async for message in self.store.listen(channel, lambda: None):
                    failures = 0
                    self._answered(message)
            except TierDown:
                failures += 1
            await asyncio.sleep(_PAUSES.pause(failures + 1, random.random()))  # noqa: S311

    def _answered(self, message: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            answer = msgspec.msgpack.decode(message, type=_Answer)
            asked = self._asked.get(answer.number)
            if asked is not None:
                asked.answers[answer.name] = ReplicaReceipt(
                    answer.name, answer.applied, _ms(asked.began)
                )
                asked.changed.set()


def _seen(task: asyncio.Future[Any]) -> None:
    """Take note of how *task* ended, which nobody else will."""
    if not task.cancelled():
        task.exception()


def _order(entry: str) -> tuple[int, int]:
    instant, _, number = entry.partition("-")
    return int(instant), int(number or 0)


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
