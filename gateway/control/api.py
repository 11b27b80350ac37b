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
from gateway.control.explain import Question
from gateway.control.explaining import BadQuestion, question
from gateway.control.figures import (
    Failures,
    Figures,
    NotCachedList,
    Problem,
    Routes,
    RouteTold,
    Samples,
    StoredObject,
    TopKeys,
    Versions,
    failure,
    figures,
    not_cached,
)
from gateway.control.history import History
from gateway.control.purging import PurgeRequest, Receipt
from gateway.counters import Reading
from gateway.edge.insight import Key, Looked
from gateway.errors import ConfigurationError

_log = logging.getLogger("gateway.audit")

T = TypeVar("T")

_MOST_LISTED = 200
_LISTED = 20
_KEEPALIVE_SECONDS = 15.0
_LONGEST_BODY = 2 << 20


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


class Source(Protocol):
    """Who knows; the supervisor."""

    history: History
    editor: Editor

    async def reading(self) -> Reading:
        """Return fresh counts, summed over all workers."""

    async def explain(self, question: Question) -> dict[str, Any]:
        """Say why a request is answered as it is, and what is stored for it.

        Raises BadQuestion for a request that would be refused.
        """

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
            ("routes", self._routes),
            ("object", self._object),
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

    async def _routes(self, _: web.Request) -> web.Response:
        written = await self._source.editor.written()
        told = figures(await self._source.reading(), *self._source.standing())
        by_name = {each.route: each for each in told.routes}
        return answer(
            Routes([RouteTold(each, by_name.get(each["name"])) for each in written.routes])
        )

    async def _object(self, request: web.Request) -> web.Response:
        try:
            told = await self._source.explain(question(request.query.items()))
        except BadQuestion as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        except ConfigurationError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        explained = told["explanation"]
        return answer(
            StoredObject(
                explained["request"]["target"],
                explained["route"]["name"],
                explained["asks_cache"],
                msgspec.to_builtins(told["workers"]),
            )
        )

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
        return answer(NotCachedList([not_cached(each) for each in looked.uncached[:limit]]))

    async def _errors(self, _: web.Request) -> web.Response:
        looked = await self._source.look(1)
        return answer(Failures([failure(each) for each in looked.failures]))

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
                    async with asyncio.timeout(_KEEPALIVE_SECONDS):
                        sample = await self._source.history.next()
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
        PurgeRequest,
        Receipt,
        RollbackRequest,
        Routes,
        Samples,
        StoredObject,
        TopKeys,
        Versions,
        Written,
    )
}
"""What the description names."""


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
