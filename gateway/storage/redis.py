"""The tier that replicas share: Valkey or Redis, asked within a budget and never waited for.

It may be slow, hang, be full, lose everything or be gone. A look-up has its budget, over
everything, connecting included; after some failures in a row nobody is made to wait at all,
until it answers again to a ping in the background. What is to be written waits in a bounded
queue, and is dropped rather than waited for.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import (
    ClusterDownError,
    ReadOnlyError,
    ResponseError,
)

from gateway.background import Background
from gateway.counters import TierStatistics
from gateway.resilience.breaker import Breaker
from gateway.storage.keys import Prefix
from gateway.storage.local import TierDown
from gateway.storage.redis_url import client
from gateway.storage.redis_url import close as disconnect
from gateway.storage.settings import RedisSettings

_log = logging.getLogger("gateway.tiers")

T = TypeVar("T")
_Command = tuple[str | bytes, ...]

_READ_AT_ONCE = 64
_READERS = 4
"""Pipelines under way for look-ups."""
_WRITTEN_AT_ONCE = 64
_WRITTEN_BYTES = 1 << 20
QUEUED = 4096
QUEUED_BYTES = 32 << 20
"""Writes that may wait, in number and in bytes."""
_WRITE_PATIENCE = 10
"""...times the budget of a look-up: nobody waits for a write."""
_SCANNED_AT_ONCE = 500
_FINDING_SECONDS = 2.0
_GOODBYE_SECONDS = 1.0

_DELETE_IF_OWN = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
_EXTEND_IF_OWN = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then"
    " return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"
)
_COUNT = (
    "local n = redis.call('incrby', KEYS[1], ARGV[1])"
    " if redis.call('pttl', KEYS[1]) < 0 then redis.call('pexpire', KEYS[1], ARGV[2]) end"
    " return {n, redis.call('pttl', KEYS[1])}"
)


class RedisStore:
    """One process's way to the shared tier."""

    def __init__(
        self,
        settings: RedisSettings,
        background: Background,
        *,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        statistics: TierStatistics | None = None,
    ) -> None:
        self.settings = settings
        self.statistics = statistics or TierStatistics()
        self.statistics.up = 1
        self.client = client(settings.address)
        self.breaker = Breaker()
        self._background = background
        self._monotonic = monotonic
        self._chance = chance
        self._wanted: list[tuple[tuple[_Command, ...], asyncio.Future[list[Any]]]] = []
        self._readers = 0
        self._queue: dict[str, tuple[bytes | None, int]] = {}
        self._queued_bytes = 0
        self._told: list[Callable[[], None]] = []
        self._writing = False
        self._tending = False

    def name(self, prefix: Prefix, rest: str = "") -> str:
        """Return the key for *rest* under *prefix*."""
        return f"{self.settings.prefix}{prefix.value}{rest}"

    async def close(self) -> None:
        """Write what waits, if that goes quickly, and disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.timeout * _WRITE_PATIENCE):
                while self._queue and self.breaker.closed:
                    await self._write_some()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await disconnect(self.client)

    async def ask(self, work: Callable[[Any], Awaitable[T]], budget: float | None = None) -> T:
        """Return what *work*, given the client, returns within *budget* seconds.

        None is the budget of a look-up. Raises TierDown.
        """
        if not self.breaker.closed:
            raise TierDown("it is left alone for now")
        budget = self.settings.timeout if budget is None else budget
        began = self._monotonic()
        try:
            async with asyncio.timeout(budget):
                found = await work(self.client)
        except Exception as error:
            # Not only its own errors: what a client comes upon while a server dies is legion.
            self.statistics.errors += 1
            answered = isinstance(error, ResponseError) and not isinstance(
                error, ClusterDownError | ReadOnlyError
            )
            late = self._monotonic() - began > 2 * budget
            if not answered and not late:
                # When the loop itself was held up, nothing is known about the other side.
                self._failed(error)
            raise TierDown(str(error) or type(error).__name__) from error
        self._succeeded()
        return found

    # Values.

    async def get(self, name: str) -> bytes | None:
        """Return what lies under *name*; None when nothing does, or none came in time."""
        said = await self._soon(("GET", name))
        return said[0] if said is not None and isinstance(said[0], bytes) else None

    async def get_or_lease(
        self, name: str, lease: str, token: bytes, seconds: float
    ) -> tuple[bytes | None, bool] | None:
        """Return what lies under *name*, and whether the free *lease* is *token*'s now.

        None when none of it came in time: then nobody is kept from anything.
        """
        milliseconds = str(int(seconds * 1000))
        # In this order: whoever had the lease gave it back after it had stored what it fetched.
        said = await self._soon(("SET", lease, token, "NX", "PX", milliseconds), ("GET", name))
        if said is None or isinstance(said[0], Exception):
            return None
        return said[1] if isinstance(said[1], bytes) else None, bool(said[0])

    async def awaited(self, name: str, lease: str) -> tuple[bytes | None, bool] | None:
        """Return what lies under *name*, and whether *lease* is held; None as above."""
        said = await self._soon(("EXISTS", lease), ("GET", name))
        if said is None:
            return None
        return said[1] if isinstance(said[1], bytes) else None, bool(said[0])

    async def _soon(self, *commands: _Command) -> list[Any] | None:
        """Return what is said to *commands*, which go with those of others; None for nothing."""
        if not self.breaker.closed:
            return None
        found: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._wanted.append((commands, found))
        if self._readers < _READERS:
            self._readers += 1
            self._background.spawn(self._read(), name="look-ups in the shared tier")
        began = self._monotonic()
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await found
        except TimeoutError:
            self.statistics.errors += 1
            if self._monotonic() - began <= 2 * self.settings.timeout:
                self._failed(TimeoutError("it said nothing within its budget"))
            return None
        except TierDown:
            return None

    async def _read(self) -> None:
        """Answer what is wanted, many look-ups in one go."""
        try:
            while self._wanted:
                batch = [each for each in self._wanted[:_READ_AT_ONCE] if not each[1].done()]
                del self._wanted[:_READ_AT_ONCE]
                if not batch:
                    continue
                commands = [command for each, _ in batch for command in each]
                try:
                    said = iter(await self.ask(lambda to, all_=commands: _say(to, all_)))  # type: ignore[misc]
                except TierDown as error:
                    for _, found in batch:
                        if not found.done():
                            found.set_exception(error)
                    continue
                for each, found in batch:
                    answers = [next(said) for _ in each]
                    if not found.done():
                        found.set_result(answers)
        finally:
            self._readers -= 1

    def put(self, name: str, value: bytes | None, seconds: float) -> None:
        """Have *value* under *name* for *seconds*, soon; None removes what is there.

        Nobody waits for it, and it may come to nothing.
        """
        if not self.breaker.closed:
            self.statistics.dropped += 1
            return
        before = self._queue.pop(name, None)
        if before is not None and before[0] is not None:
            self._queued_bytes -= len(before[0])
        self._queue[name] = (value, max(1, int(seconds * 1000)))
        self._queued_bytes += len(value or b"")
        while len(self._queue) > QUEUED or self._queued_bytes > QUEUED_BYTES:
            oldest = next(iter(self._queue))
            self._queued_bytes -= len(self._queue.pop(oldest)[0] or b"")
            self.statistics.dropped += 1
        self._start_writing()

    def then(self, told: Callable[[], None]) -> None:
        """Call *told* once all that waits now is written or given up."""
        if not self._queue and not self._writing:
            told()
            return
        self._told.append(told)
        self._start_writing()

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = True
            self._background.spawn(self._write(), name="writes to the shared tier")

    async def _write(self) -> None:
        try:
            while self._queue or self._told:
                told, self._told = self._told, []
                try:
                    # All that waits goes before whoever waits for it hears.
                    left = len(self._queue)
                    while left > 0:
                        left -= await self._write_some()
                finally:
                    for each in told:
                        each()
        finally:
            self._writing = False

    async def _write_some(self) -> int:
        """Write the oldest of what waits; return how many are done with."""
        batch: list[tuple[str, bytes | None, int]] = []
        size = 0
        while self._queue and len(batch) < _WRITTEN_AT_ONCE and size < _WRITTEN_BYTES:
            name = next(iter(self._queue))
            value, milliseconds = self._queue.pop(name)
            size += len(value or b"")
            batch.append((name, value, milliseconds))
        self._queued_bytes -= size
        if not batch:
            return QUEUED
        try:
            said = await self.ask(
                lambda to: _put_all(to, batch), self.settings.timeout * _WRITE_PATIENCE
            )
        except TierDown:
            self.statistics.dropped += len(batch)
            return len(batch)
        for (_, value, _), answer in zip(batch, said, strict=True):
            if isinstance(answer, Exception):
                # Out of memory, most likely: what it has can still be read.
                self.statistics.errors += 1
            elif value is None:
                self.statistics.deletes += 1
            else:
                self.statistics.sets += 1
        return len(batch)

    async def get_or_set(
        self, name: str, seconds: float, make: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return what lies under *name*, or what *make* makes, which then lies there."""
        found = await self.get(name)
        if found is None:
            self.statistics.misses += 1
            found = await make()
            self.put(name, found, seconds)
        else:
            self.statistics.hits += 1
        return found

    async def delete_matching(self, pattern: str) -> int:
        """Delete every key that matches the glob *pattern* after the prefix; return how many.

        It walks over all keys (SCAN), in steps between which others are served. Raises TierDown.
        """
        deleted = 0
        batch: list[str] = []

        async def drop() -> int:
            going = list(batch)
            batch.clear()
            said = await self.ask(lambda to: _put_all(to, [(each, None, 0) for each in going]), 5.0)
            return sum(1 for each in said if each == 1)

        try:
            keys = self.client.scan_iter(f"{self.settings.prefix}{pattern}", _SCANNED_AT_ONCE)
            async for key in keys:
                batch.append(key.decode())
                if len(batch) >= _WRITTEN_AT_ONCE:
                    deleted += await drop()
            if batch:
                deleted += await drop()
        except Exception as error:
            raise TierDown(str(error)) from error
        self.statistics.deletes += deleted
        return deleted

    async def count(self, name: str, seconds: float, by: int = 1) -> tuple[int, float]:
        """Count *by* more under *name*; return the count, and the seconds until it begins anew.

        Counting begins anew *seconds* after the first. Raises TierDown.
        """
        said = await self.ask(lambda to: to.eval(_COUNT, 1, name, by, max(1, int(seconds * 1000))))
        return int(said[0]), int(said[1]) / 1000

    # Leases.

    async def acquire(self, name: str, token: bytes, seconds: float) -> bool:
        """Take the lease *name* for *seconds*; False when another has it. Raises TierDown."""
        said = await self.ask(lambda to: to.set(name, token, nx=True, px=int(seconds * 1000)))
        return said is not None

    async def extend(self, name: str, token: bytes, seconds: float) -> bool:
        """Keep the lease *name* for *seconds* from now, if it is still *token*'s."""
        said = await self.ask(
            lambda to: to.eval(_EXTEND_IF_OWN, 1, name, token, int(seconds * 1000))
        )
        return bool(said)

    async def release(self, name: str, token: bytes) -> None:
        """Give the lease *name* back, if it is still *token*'s; it ends by itself otherwise."""
        with contextlib.suppress(TierDown):
            await self.ask(lambda to: to.eval(_DELETE_IF_OWN, 1, name, token))

    def leave(self, name: str, token: bytes) -> None:
        """Give the lease *name* back, soon."""
        if self.breaker.closed:
            self._background.spawn(self.release(name, token), name="return of a lease")

    # Messages.

    async def publish(self, channel: str, message: bytes) -> None:
        """Send *message* to whoever listens to *channel* now; raises TierDown."""
        await self.ask(lambda to: to.publish(channel, message), 1.0)

    async def listen(self, channel: str, ready: Callable[[], None]) -> AsyncIterator[bytes]:
        """Yield what comes on *channel*; *ready* is called once it would. Raises TierDown."""
        pubsub = self.client.pubsub()
        try:
            await pubsub.subscribe(channel)
            while True:
                message = await pubsub.get_message(timeout=5.0)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    ready()
                elif message["type"] == "message":
                    yield message["data"]
        except Exception as error:
            raise TierDown(str(error)) from error
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()

    # Its health.

    def _failed(self, error: Exception) -> None:
        if not self.breaker.closed:
            return
        if self.breaker.failed(self._monotonic(), self._chance()):
            self.statistics.up = 0
            self._give_up_queue()
            _log.warning(
                "the shared tier at %s is left alone until it answers: %s",
                self.settings.address.told,
                str(error) or type(error).__name__,
            )
            if not self._tending:
                self._tending = True
                self._background.spawn(self._tend(), name="trials of the shared tier")

    def _give_up_queue(self) -> None:
        self.statistics.dropped += len(self._queue)
        self._queue.clear()
        self._queued_bytes = 0

    def _succeeded(self) -> None:
        if self.breaker.closed:
            self.breaker.succeeded()

    async def _tend(self) -> None:
        """Ping until it answers, after pauses that grow."""
        breaker = self.breaker
        try:
            while not breaker.closed:
                await asyncio.sleep(max(0.0, breaker.until - self._monotonic()))
                try:
                    # Finding a cluster's nodes takes several steps, for which nobody waits here.
                    async with asyncio.timeout(_FINDING_SECONDS):
                        await self.client.initialize()
                    async with asyncio.timeout(2 * self.settings.timeout):
                        await self.client.set(self.name(Prefix.LEASE, "trial"), b"", px=1000)
                except ResponseError as error:
                    if isinstance(error, ClusterDownError | ReadOnlyError):
                        breaker.failed(self._monotonic(), self._chance())
                        continue
                    # It has no room or other words, and can be asked.
                except Exception:
                    breaker.failed(self._monotonic(), self._chance())
                    continue
                breaker.succeeded()
                self.statistics.up = 1
                _log.info("the shared tier at %s answers again", self.settings.address.told)
        finally:
            self._tending = False


async def _say(to: Any, commands: list[_Command]) -> list[Any]:
    if len(commands) == 1:
        return [await to.execute_command(*commands[0])]
    pipe = to.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    return list(await pipe.execute(raise_on_error=False))


async def _put_all(to: Any, batch: list[tuple[str, bytes | None, int]]) -> list[Any]:
    pipe = to.pipeline(transaction=False)
    for name, value, milliseconds in batch:
        if value is None:
            pipe.delete(name)
        else:
            pipe.set(name, value, px=milliseconds)
    return list(await pipe.execute(raise_on_error=False))
