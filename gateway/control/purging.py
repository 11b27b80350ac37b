"""What operators ask to have purged: read, checked, told to everybody, with a receipt.

A request names one thing, or several groups: ``{"url": "/blog/a"}``, ``{"groups": ["org:1"]}``.
Everything at once takes a word more, ``{"all": true, "confirm": "all"}``, so that no slip of
a script does it.
"""

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from gateway.control.process import WorkerProcess
from gateway.errors import MalformedRequest
from gateway.storage.purges import Kind, Mode, Purge
from gateway.wire.target import origin_form

_ANSWER_LIMIT = 2.0
_MOST_AT_ONCE = 1000
LONGEST_VALUE = 8 * 1024


class PurgeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /-/purge``; exactly one of the kinds is given."""

    url: str | list[str] | None = None
    """Paths with their queries, for every host, or whole URLs: every variant of each."""
    prefix: str | None = None
    pattern: str | None = None
    group: str | None = None
    groups: list[str] | None = None
    route: str | None = None
    host: str | None = None
    """Alone: everything of this host. Beside another kind: only what is of this host."""
    all: bool = False
    confirm: str | None = None
    """Has to be ``all`` beside *all*."""
    mode: Mode = Mode.SOFT
    hard: bool = False
    """The same as ``mode: hard``."""


class WorkerReceipt(msgspec.Struct, frozen=True):
    """What one worker said."""

    name: str
    applied: bool
    ms: float


class ReplicaReceipt(msgspec.Struct, frozen=True):
    """What another replica said."""

    name: str
    applied: bool
    ms: float


class Receipt(msgspec.Struct, frozen=True):
    """What became of a purge."""

    applied: bool
    """Whether every worker, and every other replica that is known, said that it uses nothing
    of it any more."""
    purges: int
    mode: Mode
    workers: list[WorkerReceipt]
    ms: float
    replicas: list[ReplicaReceipt] = []
    """The other replicas, where there is a tier that they share."""

    def with_replicas(self, replicas: list[ReplicaReceipt], began: float) -> "Receipt":
        """Return this with what *replicas* said to what began then (by the performance counter)."""
        applied = self.applied and all(replica.applied for replica in replicas)
        ms = _ms_since(began)
        return msgspec.structs.replace(self, applied=applied, replicas=replicas, ms=ms)


class BadPurge(ValueError):
    """The request can't be understood; the text says what to send instead."""


def purges(request: PurgeRequest) -> list[Purge]:
    """Return the purges that *request* asks for, or raise BadPurge."""
    mode = Mode.HARD if request.hard else request.mode
    named: list[tuple[Kind, list[str]]] = [
        (Kind.URL, [request.url] if isinstance(request.url, str) else request.url or []),
        (Kind.PREFIX, _one(request.prefix)),
        (Kind.PATTERN, _one(request.pattern)),
        (Kind.GROUP, _one(request.group) + (request.groups or [])),
        (Kind.ROUTE, _one(request.route)),
    ]
    given = [(kind, values) for kind, values in named if values]
    if request.all:
        if given or request.host is not None:
            raise BadPurge('"all" goes with nothing else')
        if request.confirm != "all":
            raise BadPurge('to purge everything, add "confirm": "all"')
        return [Purge(Kind.ALL, mode=mode)]
    host = (request.host or "").lower().encode("latin-1", "replace")
    if not given and host:
        return [Purge(Kind.HOST, host, mode=mode)]
    if len(given) != 1:
        raise BadPurge(
            "name one of url, prefix, pattern, group, groups, route and host, or everything by"
            ' {"all": true, "confirm": "all"}'
        )
    kind, values = given[0]
    if len(values) > _MOST_AT_ONCE:
        raise BadPurge(f"at most {_MOST_AT_ONCE} at once; send the rest in another request")
    return [_purge(kind, value, host, mode) for value in values]


def _one(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _purge(kind: Kind, value: str, host: bytes, mode: Mode) -> Purge:
    if not value or len(value) > LONGEST_VALUE:
        raise BadPurge(f"{kind} takes 1 to {LONGEST_VALUE} characters")
    if kind in (Kind.GROUP, Kind.ROUTE):
        return Purge(kind, value.encode("utf-8"), b"" if kind is Kind.ROUTE else host, mode)
    if "://" in value:
        parts = urlsplit(value)
        host = parts.netloc.lower().encode("latin-1", "replace")
        value = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not value.startswith("/"):
        raise BadPurge(f'{kind} "{value}" is neither a path, which starts with /, nor a URL')
    if kind is Kind.URL:
        try:
            origin_form(value.encode("utf-8"))
        except MalformedRequest as error:
            raise BadPurge(f'url "{value}": {error}') from error
    return Purge(kind, value.encode("utf-8"), host, mode)


def described(purge: Purge) -> str:
    """Return *purge* in words for the log."""
    words = [purge.mode.value, purge.kind.value]
    if purge.value:
        words.append(repr(purge.value.decode("utf-8", "backslashreplace")))
    if purge.host:
        words.append(f"of {purge.host.decode('latin-1')}")
    return " ".join(words)


async def tell(
    workers: Iterable[WorkerProcess], told: list[Purge], place: int, at: float | None = None
) -> Receipt:
    """Tell *workers* about purges, and wait for their word for two seconds at most.

    They began at *place*, and forbid what was asked for before *at* (epoch seconds); None is
    when each hears of them.
    """
    began = time.perf_counter()

    async def one(worker: WorkerProcess) -> WorkerReceipt:
        applied = await worker.purge(told, place, at, _ANSWER_LIMIT)
        return WorkerReceipt(worker.name, applied, _ms_since(began))

    receipts = await asyncio.gather(*(one(worker) for worker in workers))
    return Receipt(
        applied=all(receipt.applied for receipt in receipts),
        purges=len(told),
        mode=told[0].mode,
        workers=sorted(receipts, key=lambda receipt: receipt.name),
        ms=_ms_since(began),
    )


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
