"""Whether this hub should be sent requests, and the keys that its tokens are checked with."""

import time
from http import HTTPStatus

from aiohttp import web

from upstream import __version__, caching, queries
from upstream.answers import private_json
from upstream.context import HUB
from upstream.errors import ApiError


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


async def key_set(request: web.Request) -> web.Response:
    """Answer with the public keys of the organization token."""
    return caching.cacheable(
        request,
        request.app[HUB].signer.key_set(),
        "application/jwk-set+json",
        freshness=caching.KEYS,
    )
