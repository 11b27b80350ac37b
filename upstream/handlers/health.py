"""What programs ask about the hub itself: its health, its API's description, its keys."""

import time
from functools import cache
from http import HTTPStatus

from aiohttp import web

from upstream import __version__, caching, queries
from upstream.answers import JSON, encode, private_json
from upstream.api_operations import OPERATIONS, PROCEDURES
from upstream.context import HUB
from upstream.errors import ApiError
from upstream.openapi import document


async def health(request: web.Request) -> web.Response:
    """Answer 200 while the database answers; 503 when it doesn't.

    A hub whose connections are all busy is alive: it says `busy` and stays in service.
    """
    started = time.perf_counter()
    try:
        version = await request.app[HUB].pool.fetchval(queries.PING)
    except ApiError as error:
        busy = error.code == "busy"
        return private_json(
            {
                "status": "busy" if busy else "unavailable",
                "version": __version__,
                "database": {"ok": busy, "message": error.message},
            },
            status=HTTPStatus.OK if busy else HTTPStatus.SERVICE_UNAVAILABLE,
            headers={} if busy else error.headers,
        )
    latency_ms = round((time.perf_counter() - started) * 1000, 3)
    return private_json(
        {
            "status": "ok",
            "version": __version__,
            "database": {"ok": True, "version": version, "latencyMs": latency_ms},
        }
    )


async def description(request: web.Request) -> web.Response:
    """Answer with what the API takes and answers, in OpenAPI."""
    return caching.cacheable(request, _described(), JSON, freshness=caching.DOCS, groups=["docs"])


@cache
def _described() -> bytes:
    return encode(document(OPERATIONS, PROCEDURES))


async def key_set(request: web.Request) -> web.Response:
    """Answer with the public keys of the organization token."""
    return caching.cacheable(
        request,
        request.app[HUB].signer.key_set(),
        "application/jwk-set+json",
        freshness=caching.KEYS,
    )
