"""The procedures in tRPC's wire format.

What reads is called by ``GET /api/trpc/NAME?input=JSON``, what writes by ``POST`` with the
input as its JSON body.  A batch joins names by commas, adds ``batch=1`` and numbers its
inputs, and is answered in order with 207 when its members ended differently.  Which
procedures there are is told in `procedures.py` and `mutations.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from upstream import caching
from upstream.answers import JSON, decode, encode, json_body
from upstream.caching import Freshness
from upstream.context import HUB
from upstream.errors import ApiError, bad_input, login_required
from upstream.handlers.mutations import MUTATIONS, Mutation
from upstream.handlers.procedures import PROCEDURES
from upstream.identity import Identity, identify

LARGEST_BATCH = 20

_CODES = {
    HTTPStatus.BAD_REQUEST: ("BAD_REQUEST", -32600),
    HTTPStatus.UNAUTHORIZED: ("UNAUTHORIZED", -32001),
    HTTPStatus.FORBIDDEN: ("FORBIDDEN", -32003),
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", -32004),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_SUPPORTED", -32005),
    HTTPStatus.CONFLICT: ("CONFLICT", -32009),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("PAYLOAD_TOO_LARGE", -32013),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("UNSUPPORTED_MEDIA_TYPE", -32015),
    HTTPStatus.SERVICE_UNAVAILABLE: ("SERVICE_UNAVAILABLE", -32603),
}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one call of a request ended."""

    status: HTTPStatus
    envelope: dict[str, Any]
    headers: dict[str, str]
    freshness: Freshness | None = None
    """How long it may be kept; None for not at all."""
    groups: tuple[str, ...] = ()
    """What was read."""
    changed: datetime | None = None
    invalidates: tuple[str, ...] = ()
    """What a write made wrong."""


async def call(request: web.Request) -> web.Response:
    """Answer one procedure or a batch."""
    name = request.match_info["procedures"]
    try:
        if not _is_batch(request):
            outcome = await _single(request, name)
            return _answer(request, outcome.envelope, [outcome])
        outcomes = await _batch(request, name.split(","))
    except ApiError as error:
        failed = _failed(error, name)
        return _answer(request, failed.envelope, [failed])
    return _answer(request, [outcome.envelope for outcome in outcomes], outcomes)


def _is_batch(request: web.Request) -> bool:
    for name in ("batch", "input"):
        if len(request.query.getall(name, ())) > 1:
            raise bad_input(f"given more than once: {name}", name)
    batch = request.query.get("batch")
    if batch not in {None, "1"}:
        raise bad_input("batch is 1 or not there", "batch")
    return batch is not None


async def _single(request: web.Request, name: str) -> _Outcome:
    try:
        identity = await _admit(request)
        if request.method == "POST":
            _mutation(name)  # asked before the body: what reads takes none at all
            raw = await json_body(request, msgspec.Raw)
            return await _write(request, identity, name, bytes(raw))
        return await _read(request, identity, name, _query_input(request))
    except ApiError as error:
        return _failed(error, name)


async def _batch(request: web.Request, names: Sequence[str]) -> list[_Outcome]:
    if len(names) > LARGEST_BATCH:
        raise bad_input(f"a batch has at most {LARGEST_BATCH} calls, got {len(names)}", "batch")
    identity = await _admit(request)
    if request.method == "POST":
        if not any(name in MUTATIONS for name in names):
            _mutation(names[0])
        run, inputs = _write, await json_body(request, dict[str, msgspec.Raw])
    else:
        run, inputs = _read, decode(_query_input(request), dict[str, msgspec.Raw])
    if unknown := set(inputs) - {str(index) for index in range(len(names))}:
        raise bad_input(f"an input for no call of the batch: {min(unknown)!r}", "input")
    outcomes = []
    # One after another: a batch must not take a connection for each of its calls.
    for index, name in enumerate(names):
        try:
            outcome = await run(request, identity, name, bytes(inputs.get(str(index), b"{}")))
        except ApiError as error:
            outcome = _failed(error, name)
        outcomes.append(outcome)
    return outcomes


def _query_input(request: web.Request) -> bytes:
    try:
        return (request.query.get("input") or "{}").encode()
    except UnicodeEncodeError as error:
        raise bad_input("the input isn't UTF-8", "input") from error


async def _admit(request: web.Request) -> Identity:
    if request.method not in {"GET", "HEAD", "POST"}:
        raise _wrong_method("procedures are called with GET or POST", _methods(request))
    if (identity := await identify(request)) is None:
        raise login_required()
    return identity


async def _read(request: web.Request, identity: Identity, name: str, raw: bytes) -> _Outcome:
    procedure = PROCEDURES.get(name)
    if procedure is None:
        if name in MUTATIONS:
            raise _wrong_method(f"{name} writes: call it with POST", "POST")
        raise _no_such_procedure(name)
    answered = await procedure.run(request.app[HUB].pool, identity.org_id, raw)
    org = f"org:{identity.org_id}"
    project = () if answered.project_id is None else (f"project:{answered.project_id}",)
    return _Outcome(
        HTTPStatus.OK,
        {"result": {"data": answered.data}},
        {},
        freshness=procedure.freshness if identity.org_proven else None,
        groups=(org, f"{org}:{name}", *project),
        changed=identity.org_changed_at,
    )


async def _write(request: web.Request, identity: Identity, name: str, raw: bytes) -> _Outcome:
    done = await _mutation(name).run(request.app[HUB].pool, identity, raw)
    return _Outcome(
        HTTPStatus.OK, {"result": {"data": done.data}}, {}, invalidates=done.invalidates
    )


def _mutation(name: str) -> Mutation[Any]:
    if (mutation := MUTATIONS.get(name)) is not None:
        return mutation
    if name in PROCEDURES:
        raise _wrong_method(f"{name} reads: call it with GET", "GET, HEAD")
    raise _no_such_procedure(name)


def _methods(request: web.Request) -> str:
    """Return what the procedures asked for are called with."""
    names = request.match_info["procedures"].split(",")
    reads = any(name not in MUTATIONS for name in names)
    writes = any(name not in PROCEDURES for name in names)
    return ", ".join(["GET, HEAD"] * reads + ["POST"] * writes)


def _wrong_method(message: str, allowed: str) -> ApiError:
    return ApiError(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, headers={"Allow": allowed}
    )


def _no_such_procedure(name: str) -> ApiError:
    known = ", ".join(sorted({**PROCEDURES, **MUTATIONS}))
    return ApiError(
        HTTPStatus.NOT_FOUND, "not_found", f"no procedure {name[:100]!r}; there are {known}"
    )


def _failed(error: ApiError, name: str) -> _Outcome:
    code, number = _CODES.get(error.status, ("INTERNAL_SERVER_ERROR", -32603))
    data: dict[str, Any] = {"code": code, "httpStatus": int(error.status), "path": name[:100]}
    if error.field is not None:
        data["field"] = error.field
    envelope = {"error": {"message": error.message, "code": number, "data": data}}
    return _Outcome(error.status, envelope, error.headers)


def _answer(request: web.Request, body: Any, outcomes: Sequence[_Outcome]) -> web.Response:
    statuses = {outcome.status for outcome in outcomes}
    if request.method != "POST" and statuses == {HTTPStatus.OK}:
        return caching.cacheable(
            request,
            encode(body),
            JSON,
            freshness=_shortest(outcomes),
            groups=dict.fromkeys(group for outcome in outcomes for group in outcome.groups),
            changed=outcomes[0].changed,
        )
    headers: dict[str, str] = {}
    for outcome in outcomes:
        headers |= outcome.headers
    wrong = dict.fromkeys(group for outcome in outcomes for group in outcome.invalidates)
    if field := caching.groups_field(wrong):
        headers["Cache-Group-Invalidation"] = field
    return web.Response(
        status=statuses.pop() if len(statuses) == 1 else HTTPStatus.MULTI_STATUS,
        body=encode(body),
        headers={"Cache-Control": caching.NO_STORE, "Content-Type": JSON, **headers},
    )


def _shortest(outcomes: Sequence[_Outcome]) -> Freshness | None:
    lifetimes = [outcome.freshness for outcome in outcomes if outcome.freshness is not None]
    if len(lifetimes) < len(outcomes):
        return None
    return min(lifetimes, key=lambda freshness: freshness.lifetime)
