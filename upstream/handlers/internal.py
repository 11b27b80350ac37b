"""What operators see: the database's figures and the metrics.

Not for the public: only for those who connect directly from this machine, or from networks
that ``HUB_INTERNAL_NETWORKS`` names. What came through a proxy came from somebody else,
whatever the address says, and is told that there is nothing here.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from upstream import __version__
from upstream.answers import HTML, JSON, encode
from upstream.context import HUB, Hub
from upstream.errors import not_found
from upstream.monitoring import indexes
from upstream.monitoring.export import exposition
from upstream.monitoring.monitor import unheard
from upstream.queries_of_people import ISSUES_SINCE, RUNS_SINCE, TESTS_SINCE, WRITES_SINCE

_FORWARDED = ("X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip")
_UNCACHED = {"Cache-Control": "no-store"}


async def metrics(request: web.Request) -> web.Response:
    """Answer with the figures for Prometheus."""
    hub = _for_operators(request)
    page, media_type = exposition(hub.pool, hub.monitor, request.headers.get("Accept", ""))
    return web.Response(body=page, headers={"Content-Type": media_type, **_UNCACHED})


async def database(request: web.Request) -> web.Response:
    """Answer with everything known about the pool, the queries and the indexes."""
    hub = _for_operators(request)
    about = await _about(hub)
    wants_page = "text/html" in request.headers.get("Accept", "") and "json" not in request.path
    if wants_page or request.path.endswith(".html"):
        body = hub.templates.get_template("database.html").render(about=about)
        return web.Response(body=body.encode(), headers={"Content-Type": HTML, **_UNCACHED})
    return web.Response(body=encode(about), headers={"Content-Type": JSON, **_UNCACHED})


async def _about(hub: Hub) -> dict[str, Any]:
    figures = hub.pool.figures()
    about: dict[str, Any] = {
        "version": __version__,
        "health": await hub.pool.health(),
        "pool": {
            "maxConnections": figures.max_connections,
            "minConnections": figures.min_connections,
            "totalConnections": figures.total,
            "idleConnections": figures.idle,
            "usedConnections": figures.in_use,
            "waitingRequests": figures.waiting,
            "utilizationRate": f"{100 * figures.utilisation:.0f}%",
            "totalAcquires": figures.acquires,
            "errors": figures.errors,
            "totalErrors": sum(figures.errors.values()),
            "acquire": hub.pool.acquire_times.in_milliseconds(),
        },
        "summary": hub.monitor.totals(),
        "thresholds": {
            "warningMs": hub.monitor.thresholds.warning * 1000,
            "slowMs": hub.monitor.thresholds.slow * 1000,
        },
        "queries": [each.as_json() for each in hub.monitor.kinds()],
        "activity": {"days": 7},
        "indexes": None,
    }
    unheard.set(True)
    # The figures above are worth showing most when the database isn't there.
    with contextlib.suppress(Exception):
        since = datetime.now(UTC) - timedelta(days=7)
        async with hub.pool.connection() as connection:
            for query in (ISSUES_SINCE, RUNS_SINCE, TESTS_SINCE, WRITES_SINCE):
                row = await connection.fetchrow(query.sql, since)
                about["activity"] |= {} if row is None else dict(row)
            found = await indexes.report(connection)
        about["indexes"] = {
            "since": found.since,
            "all": found.indexes,
            "unused": [each["index"] for each in found.unused],
            "duplicates": found.duplicates,
            "missing": found.missing,
        }
    return about


def _for_operators(request: web.Request) -> Hub:
    hub = request.app[HUB]
    if any(name in request.headers for name in _FORWARDED):
        raise not_found("there is nothing here")
    try:
        address = ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        raise not_found("there is nothing here") from None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if not address.is_loopback and not any(address in network for network in hub.internal_networks):
        raise not_found("there is nothing here")
    return hub
