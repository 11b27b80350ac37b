"""The read procedures in tRPC's wire format.

A call is ``GET /api/trpc/NAME?input=JSON``; a batch joins names by commas, adds
``batch=1`` and numbers its inputs, and is answered in order with 207 when its members
ended differently.  Which procedures there are is told in `procedures.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from upstream import caching
from upstream.answers import JSON, decode, encode
from upstream.caching import Freshness
from upstream.context import HUB
from upstream.errors import ApiError, bad_input, login_required
from upstream.handlers.procedures import PROCEDURES
from upstream.identity import Identity, identify

LARGEST_BATCH = 20

_CODES = {
    HTTPStatus.BAD_REQUEST: ("BAD_REQUEST", -32600),
    HTTPStatus.UNAUTHORIZED: ("UNAUTHORIZED", -32001),
    HTTPStatus.FORBIDDEN: ("FORBIDDEN", -32003),
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", -32004),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_SUPPORTED", -32005),
    HTTPStatus.SERVICE_UNAVAILABLE: ("SERVICE_UNAVAILABLE", -32603),
}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one call of a request ended."""

    status: HTTPStatus
    envelope: dict[str, Any]
    headers: dict[str, str]
    org_id: int | None = None
    """Whose rows were read; None when none were."""
    freshness: Freshness | None = None


async def call(request: web.Request) -> web.Response:
    """Answer one procedure or a batch."""
    if "batch" not in request.query:
        outcome = await _single(request, request.match_info["procedures"])
        return _answer(request, outcome.envelope, [outcome], _names(request))
    try:
        outcomes = await _batch(request)
    except ApiError as error:
        failed = _failed(error, request.match_info["procedures"])
        return _answer(request, failed.envelope, [failed], [])
    return _answer(request, [outcome.envelope for outcome in outcomes], outcomes, _names(request))


def _names(request: web.Request) -> list[str]:
    return request.match_info["procedures"].split(",")


async def _single(request: web.Request, name: str) -> _Outcome:
    try:
        identity = await _admit(request)
        raw = request.query.get("input")
        return await _run(request, identity, name, msgspec.Raw(raw.encode()) if raw else None)
    except ApiError as error:
        return _failed(error, name)


async def _batch(request: web.Request) -> list[_Outcome]:
    names = _names(request)
    if len(names) > LARGEST_BATCH:
        raise bad_input(f"a batch has at most {LARGEST_BATCH} calls, got {len(names)}", "batch")
    inputs: dict[str, msgspec.Raw] = {}
    if raw := request.query.get("input"):
        inputs = decode(raw, dict[str, msgspec.Raw])
    if unknown := set(inputs) - {str(index) for index in range(len(names))}:
        raise bad_input(f"an input for no call of the batch: {min(unknown)!r}", "input")
    identity = await _admit(request)
    outcomes = []
    # One after another: a batch must not take a connection for each of its calls.
    for index, name in enumerate(names):
        try:
            outcome = await _run(request, identity, name, inputs.get(str(index)))
        except ApiError as error:
            outcome = _failed(error, name)
        outcomes.append(outcome)
    return outcomes


async def _admit(request: web.Request) -> Identity:
    if request.method not in {"GET", "HEAD"}:
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "procedures that read are called with GET",
            headers={"Allow": "GET, HEAD"},
        )
    if (identity := await identify(request)) is None:
        raise login_required()
    return identity


async def _run(
    request: web.Request, identity: Identity, name: str, raw: msgspec.Raw | None
) -> _Outcome:
    procedure = PROCEDURES.get(name)
    if procedure is None:
        known = ", ".join(sorted(PROCEDURES))
        raise ApiError(
            HTTPStatus.NOT_FOUND, "not_found", f"no procedure {name[:100]!r}; there are {known}"
        )
    data = await procedure.run(request.app[HUB].pool, identity.org_id, bytes(raw or b"{}"))
    freshness = procedure.freshness if identity.org_proven else None
    return _Outcome(
        HTTPStatus.OK,
        {"result": {"data": data}},
        {},
        identity.org_id,
        freshness,
    )


def _failed(error: ApiError, name: str) -> _Outcome:
    code, number = _CODES.get(error.status, ("INTERNAL_SERVER_ERROR", -32603))
    data: dict[str, Any] = {"code": code, "httpStatus": int(error.status), "path": name[:100]}
    if error.field is not None:
        data["field"] = error.field
    envelope = {"error": {"message": error.message, "code": number, "data": data}}
    return _Outcome(error.status, envelope, error.headers)


def _answer(
    request: web.Request, body: Any, outcomes: Sequence[_Outcome], names: Sequence[str]
) -> web.Response:
    statuses = {outcome.status for outcome in outcomes}
    if statuses == {HTTPStatus.OK}:
        org = f"org:{outcomes[0].org_id}"
        return caching.cacheable(
            request,
            encode(body),
            JSON,
            freshness=_shortest(outcomes),
            groups=[org, *(f"{org}:{name}" for name in dict.fromkeys(names))],
        )
    headers: dict[str, str] = {}
    for outcome in outcomes:
        headers |= outcome.headers
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
