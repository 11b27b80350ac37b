"""The admin port: is it alive, is it ready, what has it counted.

On loopback nobody is asked who calls; what a browser could be tricked into (a page of another
site whose name suddenly resolves to 127.0.0.1) is refused by looking at Host. On any other
address probes and metrics are open, and everything else asks for a token. Every change, made
or refused, is logged with where it came from.
"""

import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

import msgspec
from aiohttp import web

from gateway.control import console, metrics
from gateway.control.addresses import Address
from gateway.control.api import UNCACHED, Api, Source, answer, audit, problem
from gateway.control.explaining import BadQuestion, question
from gateway.control.purging import BadPurge, PurgeRequest, Receipt, described, purges
from gateway.errors import ConfigurationError
from gateway.storage.purges import Purge

_log = logging.getLogger(__name__)

_LONGEST_BODY = 3 << 20
"""Of a request: a rules file in JSON, each character escaped, and then some."""
_LAST_ANSWERS_SECONDS = 5.0
"""What answers under way at the end get."""
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Stage(StrEnum):
    """How far the gateway is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place for a worker and who is in it."""

    name: str
    state: str
    restarts: int
    pid: int | None = None
    started: datetime | None = None


class Readiness(msgspec.Struct, frozen=True):
    """What ``/readyz`` answers."""

    ready: bool
    stage: Stage
    workers: list[WorkerStatus]
    restarts: int
    rules: str
    rules_loaded: datetime
    rules_error: str | None = None
    """Why what the rules file says by now can't be used; None when it is in force."""


class Observed(Source, Protocol):
    """Who is told about; the supervisor."""

    def readiness(self) -> Readiness:
        """Return whether requests would be answered, and by whom."""

    async def facts(self) -> metrics.Facts:
        """Return fresh counts, within about a second."""

    async def reload(self) -> bool:
        """Take the rules file as it is now into force; False when it is in force already.

        Raises ConfigurationError when it can't be used.
        """

    async def purge(self, purges: list[Purge]) -> Receipt:
        """Let every worker know of *purges*; return who said that it does."""


class _Pages(msgspec.Struct, frozen=True):
    healthz: str = "200 while the supervisor lives"
    readyz: str = "200 while at least one worker accepts connections, else 503"
    reload: str = msgspec.field(
        name="-/reload", default="POST takes the rules file as it is now into force"
    )
    purge: str = msgspec.field(
        name="-/purge", default="POST purges what its JSON body names, and answers with a receipt"
    )
    explain: str = msgspec.field(
        name="-/explain", default="why ?method=GET&target=/path is answered as it is"
    )
    api: str = msgspec.field(
        name="-/api/", default="figures to read and rules to change; /-/api/openapi.json tells more"
    )
    console: str = msgspec.field(name="console/", default="all of it on one page, for people")
    metrics: str = "counts for Prometheus, summed over the workers"


class _Index(msgspec.Struct, frozen=True):
    service: str
    pages: _Pages


class Admin:
    """The HTTP server of the admin port."""

    def __init__(self, observed: Observed, address: Address, token: str | None = None) -> None:
        """Tell about *observed*; *address* is the one that the server listens on.

        *token* is asked for where that isn't loopback; with None nobody has it there.
        """
        self._observed = observed
        self._loopback = address.is_loopback
        self._token = None if token is None else token.encode("utf-8", "surrogateescape")
        application = web.Application(middlewares=[self._guard], client_max_size=_LONGEST_BODY)
        application.router.add_get("/", self._index)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_post("/-/reload", self._reload)
        application.router.add_post("/-/purge", self._purge)
        application.router.add_get("/-/explain", self._explain)
        self._api = Api(observed, self._unknown, self._not_entitled)
        self._api.add_to(application.router)
        console.add_to(application.router)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_LAST_ANSWERS_SECONDS,
        )

    async def start(self, listening: socket.socket) -> None:
        """Answer connections on *listening*, which the server then owns."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def close(self) -> None:
        """Stop answering."""
        await self._api.close()
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._loopback and _name(request.headers.get("Host", "")) not in _LOOPBACK_NAMES:
            return problem(
                HTTPStatus.FORBIDDEN,
                "the admin port answers for localhost, 127.0.0.1 and [::1] only; "
                "this request was addressed to another name",
            )
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            told = problem(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} does not take {request.method}"
            )
            told.headers["Allow"] = error.headers["Allow"]
            return told
        except web.HTTPNotFound:
            return problem(
                HTTPStatus.NOT_FOUND, f"there is no page {request.path}; / lists those there are"
            )
        except web.HTTPException:
            raise
        except Exception:
            _log.exception("admin: %s %s failed", request.method, request.path)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "failed; the log says why")

    async def _index(self, _: web.Request) -> web.Response:
        return answer(_Index("gateway admin", _Pages()))

    async def _healthz(self, _: web.Request) -> web.Response:
        return answer({"alive": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        readiness = self._observed.readiness()
        return answer(
            readiness, HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        )

    def _turned_away(self, request: web.Request) -> web.Response | None:
        """Return why *request* may change nothing here; None when it may."""
        refusal = self._unknown(request)
        if refusal is not None:
            return refusal
        return self._foreign(request)

    @staticmethod
    def _foreign(request: web.Request) -> web.Response | None:
        """Return why a page of another site may change nothing; None for our own and for none."""
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        own = origin is None or origin == f"{request.scheme}://{request.headers.get('Host', '')}"
        if own and site in ("none", "same-origin"):
            return None
        # A page of any site in a browser on this machine can send this, too.
        return problem(HTTPStatus.FORBIDDEN, "no page of another site may change anything here")

    def _not_entitled(self, request: web.Request) -> web.Response | None:
        """Return why *request* may not change the rules: that takes the token, on loopback too."""
        foreign = self._foreign(request)
        if foreign is not None:
            return foreign
        if self._token is None:
            return problem(
                HTTPStatus.FORBIDDEN,
                "changing rules from here takes a token: start the gateway with "
                "GATEWAY_ADMIN_TOKEN, or edit the file",
            )
        return self._without_token(request, self._token)

    def _unknown(self, request: web.Request) -> web.Response | None:
        """Return why whoever sends *request* may not ask for more than the figures."""
        if self._loopback:
            return None
        if self._token is None:
            return problem(
                HTTPStatus.FORBIDDEN,
                "this is for loopback, unless GATEWAY_ADMIN_TOKEN gives the gateway a token",
            )
        return self._without_token(request, self._token)

    @staticmethod
    def _without_token(request: web.Request, token: bytes) -> web.Response | None:
        """Return the answer to a *request* that doesn't carry *token*; None to one that does."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode("utf-8", "surrogateescape")
        # In the same time for a token that is nearly right.
        if scheme.lower() == "bearer" and hmac.compare_digest(sent, token):
            return None
        audit(request, f"{request.method} {request.path}", "refused: no token")
        told = problem(HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer with the admin token")
        told.headers["WWW-Authenticate"] = 'Bearer realm="gateway admin"'
        return told

    async def _purge(self, request: web.Request) -> web.Response:
        refusal = self._turned_away(request)
        if refusal is not None:
            return refusal
        try:
            asked = msgspec.json.decode(await request.read(), type=PurgeRequest)
            named = purges(asked)
        except BadPurge as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"the body has to be JSON that names what to purge: {error}"
            return problem(HTTPStatus.BAD_REQUEST, text)
        receipt = await self._observed.purge(named)
        audit(request, "purge", "; ".join(map(described, named)))
        return answer(receipt, HTTPStatus.OK if receipt.applied else HTTPStatus.ACCEPTED)

    async def _explain(self, request: web.Request) -> web.Response:
        refusal = self._unknown(request)
        if refusal is not None:
            return refusal
        try:
            return answer(await self._observed.explain(question(request.query.items())))
        except BadQuestion as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        except ConfigurationError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    async def _reload(self, request: web.Request) -> web.Response:
        refusal = self._turned_away(request)
        if refusal is not None:
            return refusal
        try:
            changed = await self._observed.reload()
            audit(request, "reload", "changed" if changed else "unchanged")
        except ConfigurationError as error:
            audit(request, "reload", "refused")
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return answer({"reloaded": changed})

    async def _metrics(self, request: web.Request) -> web.Response:
        facts = await self._observed.facts()
        page, media_type = metrics.exposition(facts, request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": media_type, **UNCACHED})


def _name(host: str) -> str:
    """Return the name in a Host field, in lower case, without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
