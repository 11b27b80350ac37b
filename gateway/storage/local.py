"""The local tier: one LMDB environment that all workers of a node share.

It outlives them, so a gateway that was killed begins with what it had. LMDB never overwrites
a page that somebody may read: a process that dies while it writes leaves the state before.
The file can't grow past its quota, because the map it lives in is no larger; what came first
goes first, unless it was used again, and well before the map is full.

Reading is a look-up in mapped memory and happens on the event loop; writing waits for the
disk, in a thread of the worker's (`tiers.py`).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct

import lmdb

from gateway.counters import TierStatistics
from gateway.policy.stored import StoredResponse
from gateway.storage import codec

SMALLEST_QUOTA = 16 << 20
_FILLED = 0.7
"""The share of the map that is filled. Old pages come free only after the transaction that
replaced them, and large values want pages in a row."""
_BATCH_SHARE = 0.03
_PAGE = 4096
_SHARED_PAGE_BYTES = 2000
"""A larger value gets pages of its own."""
_READERS = 1024
_PREFIX = Struct(">Qd")
"""Its place in the order of eviction, and until when it is of any use (epoch seconds)."""
_NUMBER = Struct(">Q")
_USED = b"used"
_NEXT = b"next"


class TierDown(Exception):
    """A tier can't be used; the text says why and what to do."""


@dataclass(slots=True)
class Write:
    """What is to become of one key."""

    key: bytes
    variants: Sequence[StoredResponse]
    """Newest first; none removes what is there."""
    until: float = 0.0
    """Epoch seconds after which it is of no use."""
    record: bytes = b""
    """The variants, encoded; empty until then."""
    unless_newer: float | None = None
    """Leave what came later than this (epoch seconds); None replaces whatever is there."""
    far: bool = True
    """Whether it goes to the shared tier, too."""


def prepare(path: Path, quota: int) -> str | None:
    """Make the environment at *path* ready for workers; return what had to be thrown away, if so.

    To be called while nobody has it open. Raises TierDown when it can't be used.
    """
    data = path / "data.mdb"
    told = None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data.exists() and data.stat().st_size > quota:
            shutil.rmtree(path)
            path.mkdir(mode=0o700)
            told = f"{path} was larger than its quota, and begins empty"
    except OSError as error:
        raise TierDown(f"{path} can't be used: {error.strerror}") from error
    try:
        LocalStore(path, quota).close()
    except TierDown as error:
        try:
            shutil.rmtree(path)
            path.mkdir(mode=0o700)
            LocalStore(path, quota).close()
        except OSError as worse:
            raise TierDown(f"{path} can't be used: {worse.strerror}") from worse
        return f"{path} begins empty: {error}"
    return told


class LocalStore:
    """One process's way into the environment."""

    def __init__(
        self,
        path: Path,
        quota: int,
        max_object: int | None = None,
        statistics: TierStatistics | None = None,
    ) -> None:
        """Open what `prepare` made at *path*; raises TierDown.

        *quota* is in bytes, as is *max_object*, the largest record that is kept; None is an
        eighth of the quota.
        """
        self.quota = quota
        self.max_object = min(max_object or quota, quota // 8)
        self.statistics = statistics or TierStatistics()
        self._limit = int(quota * _FILLED)
        try:
            self._env = lmdb.open(
                str(path),
                map_size=quota,
                max_dbs=3,
                max_readers=_READERS,
                # A crash of the system may undo the last transactions, and never tears one.
                metasync=False,
                mode=0o600,
            )
            self._objects = self._env.open_db(b"objects")
            self._order = self._env.open_db(b"order")
            self._meta = self._env.open_db(b"meta")
            self._env.reader_check()
            self.used = self._number(_USED)
        except (lmdb.Error, OSError) as error:
            raise TierDown(f"the local tier at {path} can't be opened: {error}") from error

    def close(self) -> None:
        """Let go of the environment."""
        self._env.close()

    def measure(self) -> None:
        """Take what it holds, whoever wrote it, over into the statistics."""
        try:
            with self._env.begin() as txn:
                self.statistics.objects = int(txn.stat(self._objects)["entries"])
                self.statistics.bytes = self._number(_USED, txn)
        except lmdb.Error:
            self.statistics.errors += 1

    def find(
        self, key: bytes, now: float, newer_than: float = 0.0, *, again: bool = False
    ) -> bytes | None:
        """Return the record under *key*, unread; None when there is none of use at *now*.

        One whose newest variant came no later than *newer_than* (epoch seconds) is of no use.
        *again* is whether it was missed a moment ago, and counted.
        """
        statistics = self.statistics
        missed = 0 if again else 1
        try:
            with self._env.begin(db=self._objects, buffers=True) as txn:
                value = txn.get(_digest(key))
                if value is None:
                    statistics.misses += missed
                    return None
                _, until = _PREFIX.unpack_from(value)
                record = value[_PREFIX.size :]
                if until < now or (newer_than and codec.newest(record) <= newer_than):
                    statistics.misses += missed
                    return None
                return bytes(record)
        except (lmdb.Error, codec.NotARecord, ValueError):
            statistics.errors += 1
            return None

    def write(self, writes: Iterable[Write], used: Iterable[bytes] = ()) -> None:
        """Take *writes* in, and let the keys *used* go later; called in one thread at a time.

        Raises TierDown when the disk doesn't take it; then what isn't written stays as it was.
        """
        most = max(256 * 1024, int(self.quota * _BATCH_SHARE))
        steps = _steps(writes, most, self.max_object)
        for step in steps:
            self._insist(lambda txn, step=step: self._apply(txn, step))  # type: ignore[misc]
        again = list(used)
        if again:
            self._insist(lambda txn: self._move_back(txn, again))

    # One transaction each.

    def _insist(self, work: "Callable[[lmdb.Transaction], None]") -> None:
        try:
            try:
                with self._writing() as txn:
                    work(txn)
            except lmdb.MapFullError:
                # Someone died with a page in hand, or what is free lies scattered.
                self._env.reader_check()
                with self._writing() as txn:
                    self._make_room(txn, self._limit // 2)
                # What a transaction frees can be had by the one after the next.
                with self._writing():
                    pass
                with self._writing() as txn:
                    work(txn)
        except lmdb.MapFullError:
            self._start_over()
        except (lmdb.Error, OSError) as error:
            self.statistics.errors += 1
            raise TierDown(str(error)) from error

    @contextmanager
    def _writing(self) -> "Iterator[lmdb.Transaction]":
        statistics = self.statistics
        before = statistics.sets, statistics.deletes, statistics.evictions
        try:
            with self._env.begin(write=True) as txn:
                self.used = self._number(_USED, txn)
                yield txn
                txn.put(_USED, _NUMBER.pack(max(0, self.used)), db=self._meta)
        except BaseException:
            # Nothing of it happened.
            statistics.sets, statistics.deletes, statistics.evictions = before
            raise

    def _start_over(self) -> None:
        try:
            with self._env.begin(write=True) as txn:
                for each in (self._objects, self._order, self._meta):
                    txn.drop(each, delete=False)
        except lmdb.Error as error:
            self.statistics.errors += 1
            raise TierDown(f"it is full, and can't be emptied: {error}") from error
        self.used = 0
        self.statistics.errors += 1

    def _apply(self, txn: lmdb.Transaction, step: "list[tuple[Write, bytes]]") -> None:
        for write, encoded in step:
            record = encoded
            digest = _digest(write.key)
            before = txn.get(digest, db=self._objects)
            if write.unless_newer is not None and (
                before is None or codec.came(before[_PREFIX.size :]) > write.unless_newer
            ):
                continue
            if record and before is not None and any(each.nominated for each in write.variants):
                record = self._joined(write, bytes(before[_PREFIX.size :]), record)
            self._take_out(txn, digest, before)
            if not record:
                self.statistics.deletes += 1
                continue
            place = self._next_place(txn)
            self._make_room(txn, self._limit - _cost(len(record)))
            value = _PREFIX.pack(place, write.until) + record
            txn.put(digest, value, db=self._objects)
            txn.put(_NUMBER.pack(place), digest, db=self._order, append=True)
            self.used += _cost(len(value))
            self.statistics.sets += 1

    def _joined(self, write: Write, before: bytes, record: bytes) -> bytes:
        """Return the record with the variants that other workers have stored beside ours."""
        try:
            known = codec.decode(before, write.key)
        except codec.NotARecord:
            return record
        ours = {each.nominated for each in write.variants}
        others = [each for each in known if each.nominated not in ours]
        if not others:
            return record
        # Judged anew, as a record is whose variants were decided by different rules.
        joined = codec.encode(write.key, [*write.variants, *others][:32])
        return joined if len(joined) <= self.max_object else record

    def _move_back(self, txn: lmdb.Transaction, keys: "list[bytes]") -> None:
        """Let what lies under *keys* go as late as what came last."""
        for key in keys:
            digest = _digest(key)
            value = txn.get(digest, db=self._objects)
            if value is None:
                continue
            place, until = _PREFIX.unpack_from(value)
            newest = self._next_place(txn)
            # Only what is old enough to be near its turn: moving costs writing it again.
            if newest - place < max(16, txn.stat(self._objects)["entries"] // 2):
                continue
            txn.delete(_NUMBER.pack(place), db=self._order)
            txn.put(digest, _PREFIX.pack(newest, until) + value[_PREFIX.size :], db=self._objects)
            txn.put(_NUMBER.pack(newest), digest, db=self._order, append=True)

    def _take_out(
        self, txn: lmdb.Transaction, digest: bytes, value: bytes | memoryview | None
    ) -> None:
        if value is None:
            return
        place, _ = _PREFIX.unpack_from(value)
        txn.delete(digest, db=self._objects)
        txn.delete(_NUMBER.pack(place), db=self._order)
        self.used -= _cost(len(value))

    def _make_room(self, txn: lmdb.Transaction, limit: int) -> None:
        if self.used <= limit:
            return
        with txn.cursor(db=self._order) as cursor:
            while self.used > limit and cursor.first():
                digest = bytes(cursor.value())
                value = txn.get(digest, db=self._objects)
                cursor.delete()
                if value is not None:
                    txn.delete(digest, db=self._objects)
                    self.used -= _cost(len(value))
                    self.statistics.evictions += 1

    def _next_place(self, txn: lmdb.Transaction) -> int:
        place = self._number(_NEXT, txn) + 1
        txn.put(_NEXT, _NUMBER.pack(place), db=self._meta)
        return place

    def _number(self, name: bytes, txn: lmdb.Transaction | None = None) -> int:
        if txn is None:
            with self._env.begin() as reading:
                return self._number(name, reading)
        value = txn.get(name, db=self._meta)
        return 0 if value is None else int(_NUMBER.unpack(value)[0])


def _steps(
    writes: Iterable[Write], most: int, max_object: int
) -> "Iterator[list[tuple[Write, bytes]]]":
    """Yield *writes* with their records, in portions of *most* bytes or little more."""
    step: list[tuple[Write, bytes]] = []
    size = 0
    for write in writes:
        record = write.record
        if not record and write.variants:
            record = codec.encode(write.key, write.variants)
        if len(record) > max_object:
            # Too large for this tier; what is there is older, and must not outlive it.
            record = b""
        step.append((write, record))
        size += len(record) + _PAGE
        if size >= most:
            yield step
            step, size = [], 0
    if step:
        yield step


def _digest(key: bytes) -> bytes:
    """Return what stands for *key*, which may be longer than LMDB takes."""
    return blake2b(key, digest_size=16).digest()


def _cost(length: int) -> int:
    """Return what a value of *length* bytes takes in the file, its places in the trees included."""
    if length > _SHARED_PAGE_BYTES:
        return (length + 16 + _PAGE - 1) // _PAGE * _PAGE + 200
    return (length + 100) * 3 // 2
