"""The admin port's REST interface under ``/-/api/``: figures to read, rules to change.

Reading is free on loopback and asks for the token elsewhere. Changing the rules asks for the
token everywhere: whoever can reach a loopback port isn't always whoever may decide what is
cached. Each change, made or refused, is a line of the log. `description.py` describes it all.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from gateway.control import description
from gateway.control.editor import Applied, Checked, Editor, Outdated, Proposed, Refused, Written
from gateway.control.history import History, Sample, quantile
from gateway.counters import Latencies, Reading
from gateway.edge.insight import Failure, Key, Looked, Uncached
from gateway.errors import ConfigurationError

_log = logging.getLogger("gateway.audit")

T = TypeVar("T")

_MOST_LISTED = 200
_LISTED = 20
_KEEPALIVE_SECONDS = 15.0
_LONGEST_BODY = 2 << 20
_REMEDIES = {
    "cache-off": "its route says cache: off; a route with a ttl would keep it",
    "no-identity": "the route's scope asks for an identity that the request doesn't prove; "
    "scope: public shares it with everybody",
    "method": "only GET and HEAD are answered from the cache",
    "no-store": "the origin forbids it by no-store; override: [no-store] with a because keeps it",
    "private": "the origin says private; scope: user or org keeps it apart, override shares it",
    "set-cookie": "the answer sets a cookie; override: [set-cookie] with a because keeps the rest",
    "vary": "the origin varies on everything, or on what the rules bypass",
    "status": "nobody gives this status a lifetime; status_ttl does",
    "error": "errors live as long as status_ttl says",
    "useless": "nobody gives it a lifetime and it has no validator; a ttl does",
    "authorization": "the request carries Authorization and the origin doesn't say public",
    "request-no-store": "the client asked for no-store",
    "request-body": "a GET with a body isn't shared",
    "precondition": "If-Match and If-Unmodified-Since are for the origin",
    "upgrade": "another protocol was asked for",
    "partial": "a part alone isn't kept; whole_for_range fetches the whole",
}


class RouteFigures(msgspec.Struct, frozen=True):
    """What became of one route's requests since the start."""

    route: str
    requests: int
    hits: int
    hit_rate: float
    body_bytes: int
    words: dict[str, int]
    """By the word of X-Cache."""
    statuses: dict[str, int]
    """By class, such as 2xx."""
    limited: int


class OriginFigures(msgspec.Struct, frozen=True):
    """How one origin does."""

    origin: str
    requests: int
    failures: dict[str, int]
    """By reason."""
    retries: int
    p50: float | None
    """Milliseconds until its answers begin; None before the first."""
    p95: float | None
    p99: float | None
    endpoints: dict[str, int]
    """By server: how many workers send requests to it; 0 where it is ejected or unhealthy."""


class Figures(msgspec.Struct, frozen=True):
    """Everything that is counted, summed over the workers."""

    requests: int
    hit_rate: float
    body_bytes: int
    routes: list[RouteFigures]
    origins: list[OriginFigures]
    refused: dict[str, int]
    """Requests refused before a route was found, by status."""
    store: dict[str, int]
    """bytes, limit_bytes, objects, evictions."""
    connections: int
    exchanges: int
    collapsed: int
    refreshes: int
    workers: int
    worker_restarts: int
    rules_loaded: float
    """Epoch seconds."""
    rules_error: str | None


class TopKeys(msgspec.Struct, frozen=True):
    """The busiest URLs."""

    by: str
    keys: list[dict[str, Any]]


class NotCached(msgspec.Struct, frozen=True):
    """One URL that isn't cached, and what would change that."""

    url: str
    route: str
    reason: str
    requests: int
    remedy: str


class NotCachedList(msgspec.Struct, frozen=True):
    """What isn't cached, the most asked for first."""

    urls: list[NotCached]


class Failures(msgspec.Struct, frozen=True):
    """What went wrong lately, the last first."""

    failures: list[dict[str, Any]]


class Samples(msgspec.Struct, frozen=True):
    """The last quarter of an hour, second by second."""

    samples: list[Sample]


class Versions(msgspec.Struct, frozen=True):
    """The versions of the rules that were in force before."""

    versions: list[Any]


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rules file to look at."""

    text: str


class ChangeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rules file to put in the place of the version *base*."""

    text: str
    base: str


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An earlier version to put in the place of the version *base*."""

    version: str
    base: str


class Problem(msgspec.Struct, frozen=True):
    """Why there is no answer, and what to do."""

    error: str


class Source(Protocol):
    """Who knows; the supervisor."""

    history: History
    editor: Editor

    async def reading(self) -> Reading:
        """Return fresh counts, summed over all workers."""

    async def look(self, most: int) -> Looked:
        """Return what the workers noticed about their *most* busy URLs."""

    def standing(self) -> tuple[int, int, float, str | None]:
        """Return workers at work, restarts, when the rules were loaded, and their error."""


Guard = Callable[[web.Request], web.Response | None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The handlers under ``/-/api/``."""

    def __init__(self, source: Source, may_read: Guard, may_change: Guard) -> None:
        """*may_read* and *may_change* return why a request may not; None when it may."""
        self._source = source
        self._may_read = may_read
        self._may_change = may_change
        self._watchers: set[asyncio.Task[Any]] = set()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Let *router* know every path."""
        for path, read in (
            ("stats", self._stats),
            ("top", self._top),
            ("uncacheable", self._uncacheable),
            ("errors", self._errors),
            ("history", self._history),
            ("events", self._events),
            ("rules", self._rules),
            ("rules/versions", self._versions),
        ):
            router.add_get(f"/-/api/{path}", self._guarded(self._may_read, read))
        router.add_get("/-/api/openapi.json", self._openapi)
        # Looking at rules changes nothing, but it takes a body.
        router.add_post("/-/api/rules/check", self._guarded(self._may_read, self._check))
        router.add_post("/-/api/rules/propose", self._guarded(self._may_read, self._propose))
        router.add_post("/-/api/rules/apply", self._guarded(self._may_change, self._apply))
        router.add_post("/-/api/rules/rollback", self._guarded(self._may_change, self._roll_back))

    async def close(self) -> None:
        """End every stream of events."""
        for task in self._watchers:
            task.cancel()

    @staticmethod
    def _guarded(guard: Guard, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            refusal = guard(request)
            return await handler(request) if refusal is None else refusal

        return guarded

    # To read.

    async def _stats(self, _: web.Request) -> web.Response:
        return answer(figures(await self._source.reading(), *self._source.standing()))

    async def _top(self, request: web.Request) -> web.Response:
        by = request.query.get("by", "hits")
        ranks: dict[str, Callable[[Key], int]] = {
            "hits": lambda key: key.hits,
            "misses": lambda key: key.misses,
            "bytes": lambda key: key.body_bytes,
        }
        if by not in ranks:
            return problem(HTTPStatus.BAD_REQUEST, "by has to be hits, misses or bytes")
        limit = _limit(request)
        if limit is None:
            return problem(HTTPStatus.BAD_REQUEST, f"limit has to be from 1 to {_MOST_LISTED}")
        looked = await self._source.look(limit)
        keys = sorted(looked.keys, key=ranks[by], reverse=True)[:limit]
        told = [
            {
                "url": key.url,
                "route": key.route,
                "hits": key.hits,
                "misses": key.misses,
                "bytes": key.body_bytes,
            }
            for key in keys
            if ranks[by](key)
        ]
        return answer(TopKeys(by, told))

    async def _uncacheable(self, request: web.Request) -> web.Response:
        limit = _limit(request)
        if limit is None:
            return problem(HTTPStatus.BAD_REQUEST, f"limit has to be from 1 to {_MOST_LISTED}")
        looked = await self._source.look(limit)
        return answer(NotCachedList([_not_cached(each) for each in looked.uncached[:limit]]))

    async def _errors(self, _: web.Request) -> web.Response:
        looked = await self._source.look(1)
        return answer(Failures([_failure(each) for each in looked.failures]))

    async def _history(self, _: web.Request) -> web.Response:
        return answer(Samples(list(self._source.history.samples)))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Stream a sample a second as server-sent events."""
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await stream.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watchers.add(task)
        try:
            while True:
                try:
                    sample = await asyncio.wait_for(self._source.history.next(), _KEEPALIVE_SECONDS)
                    await stream.write(b"event: sample\ndata: " + msgspec.json.encode(sample))
                    await stream.write(b"\n\n")
                except TimeoutError:
                    await stream.write(b": still here\n\n")
        except ConnectionError:
            return stream
        finally:
            self._watchers.discard(task)

    async def _rules(self, _: web.Request) -> web.Response:
        try:
            return answer(await self._source.editor.written())
        except ConfigurationError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    async def _versions(self, _: web.Request) -> web.Response:
        return answer(Versions(list(await self._source.editor.versions())))

    async def _openapi(self, _: web.Request) -> web.Response:
        return answer(description.openapi(TYPES))

    # To look at changes, and to make them.

    async def _check(self, request: web.Request) -> web.Response:
        asked = await _body(request, CheckRequest)
        if isinstance(asked, web.Response):
            return asked
        return answer(await self._source.editor.check(asked.text))

    async def _propose(self, request: web.Request) -> web.Response:
        asked = await _body(request, ChangeRequest)
        if isinstance(asked, web.Response):
            return asked
        try:
            return answer(await self._source.editor.propose(asked.text, asked.base))
        except Outdated as error:
            return problem(HTTPStatus.CONFLICT, str(error))

    async def _apply(self, request: web.Request) -> web.Response:
        asked = await _body(request, ChangeRequest)
        if isinstance(asked, web.Response):
            return asked
        change = self._source.editor.apply(asked.text, asked.base)
        return await self._changed(request, "apply", change)

    async def _roll_back(self, request: web.Request) -> web.Response:
        asked = await _body(request, RollbackRequest)
        if isinstance(asked, web.Response):
            return asked
        change = self._source.editor.roll_back(asked.version, asked.base)
        return await self._changed(request, "rollback", change)

    async def _changed(
        self, request: web.Request, what: str, change: Awaitable[Applied]
    ) -> web.Response:
        try:
            applied = await change
        except Outdated as error:
            audit(request, f"rules {what}", f"refused: {error}")
            return problem(HTTPStatus.CONFLICT, str(error))
        except Refused as error:
            audit(request, f"rules {what}", f"refused: {error}")
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        audit(request, f"rules {what}", f"version {applied.previous} to {applied.version}")
        return answer(applied)


TYPES: dict[str, Any] = {
    each.__name__: each
    for each in (
        Applied,
        ChangeRequest,
        CheckRequest,
        Checked,
        Failures,
        Figures,
        NotCachedList,
        Problem,
        Proposed,
        RollbackRequest,
        Samples,
        TopKeys,
        Versions,
        Written,
    )
}
"""What the description names."""


def figures(
    reading: Reading, workers: int, restarts: int, loaded: float, error: str | None
) -> Figures:
    """Return what *reading* comes to, for people."""
    routes: dict[str, list[Any]] = {}
    for each in reading.requests:
        known = routes.setdefault(each.route, [0, 0, 0, {}, {}])
        words, statuses = known[3], known[4]
        known[0] += each.requests
        known[1] += each.requests if each.word in description.HITS else 0
        known[2] += each.body_bytes
        words[each.word] = words.get(each.word, 0) + each.requests
        status = f"{each.status_class}xx"
        statuses[status] = statuses.get(status, 0) + each.requests
    told = [
        RouteFigures(
            name, requests, hits, hits / max(1, requests), size, words, statuses,
            reading.limited.get(name, 0),
        )
        for name, (requests, hits, size, words, statuses) in sorted(routes.items())
    ]  # fmt: skip
    everything = sum(each.requests for each in told)
    names = sorted({*reading.origin_latency, *reading.endpoints_up, *reading.origin_failures})
    return Figures(
        requests=everything,
        hit_rate=sum(each.hits for each in told) / max(1, everything),
        body_bytes=sum(each.body_bytes for each in told),
        routes=told,
        origins=[_origin(name, reading) for name in names],
        refused={str(status): count for status, count in sorted(reading.refused.items())},
        store={
            "bytes": reading.store_bytes,
            "limit_bytes": reading.store_limit_bytes,
            "objects": reading.store_objects,
            "evictions": reading.store_evictions,
        },
        connections=reading.connections_open,
        exchanges=reading.exchanges_running,
        collapsed=reading.collapsed,
        refreshes=reading.refreshes,
        workers=workers,
        worker_restarts=restarts,
        rules_loaded=loaded,
        rules_error=error,
    )


def _origin(name: str, reading: Reading) -> OriginFigures:
    latencies = reading.origin_latency.get(name) or Latencies()
    p50, p95, p99 = (
        None if seconds is None else round(1000 * seconds, 3)
        for seconds in (quantile(latencies.buckets, share) for share in (0.5, 0.95, 0.99))
    )
    return OriginFigures(
        name,
        sum(latencies.buckets),
        reading.origin_failures.get(name, {}),
        reading.origin_retries.get(name, 0),
        p50,
        p95,
        p99,
        reading.endpoints_up.get(name, {}),
    )


def _not_cached(each: Uncached) -> NotCached:
    remedy = _REMEDIES.get(each.reason, "gateway explain says more")
    return NotCached(each.url, each.route, each.reason, each.requests, remedy)


def _failure(each: Failure) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__struct_fields__}


def _limit(request: web.Request) -> int | None:
    text = request.query.get("limit", str(_LISTED))
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= 200 else None


async def _body(request: web.Request, kind: type[T]) -> T | web.Response:
    """Return what the body of *request* says, or the answer to one that can't be understood."""
    if request.content_type != "application/json":
        # What a form of another site could send isn't this.
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
    with contextlib.suppress(web.HTTPRequestEntityTooLarge):
        content = await request.read()
        if len(content) <= _LONGEST_BODY:
            try:
                return msgspec.json.decode(content, type=kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                return problem(HTTPStatus.BAD_REQUEST, f"the body can't be understood: {error}")
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "rules files have 1 MB at most")


def audit(request: web.Request, what: str, outcome: str) -> None:
    """Log that somebody did or tried *what*."""
    _log.info("admin: %s by %s: %s", what, request.remote, outcome)


UNCACHED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def answer(content: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return *content* as JSON that nobody keeps."""
    return web.Response(
        body=msgspec.json.encode(content) + b"\n",
        status=status,
        content_type="application/json",
        headers=UNCACHED,
    )


def problem(status: HTTPStatus, text: str) -> web.Response:
    """Return *text*, which says what is wrong, as JSON."""
    return answer(Problem(text), status)
