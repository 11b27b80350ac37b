"""The hub as an aiohttp application: its routes and the parts they share."""

from aiohttp import web

from upstream import dashboard, pages
from upstream.answers import LARGEST_BODY_BYTES
from upstream.context import HUB, Hub
from upstream.failures import Handler, errors_answered
from upstream.handlers import (
    auth,
    health,
    internal,
    live,
    organizations,
    people,
    projects,
    static,
    stripe,
    trpc,
)
from upstream.monitoring.monitor import Origin, origin

_PAGES_MAY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)
"""Pages load what comes from here, and nothing that was smuggled into them runs."""


def make_app(hub: Hub) -> web.Application:
    """Return the application; whoever made the parts of *hub* also closes them."""
    app = web.Application(
        middlewares=[_remembered, errors_answered], client_max_size=LARGEST_BODY_BYTES
    )
    app[HUB] = hub
    app.add_routes(_page_routes())
    app.add_routes(_api_routes())
    app.on_response_prepare.append(_sign)
    app.on_shutdown.append(_end_live_connections)
    return app


def _page_routes() -> list[web.RouteDef]:
    return [
        web.get("/", pages.home),
        web.get("/blog", pages.blog),
        web.get("/blog/{slug}", pages.blog_post),
        web.get("/docs", pages.docs),
        web.get("/docs/{slug}", pages.docs_page),
        web.get("/login", pages.login_page),
        web.get("/dashboard", dashboard.overview),
        web.get("/dashboard/issues", dashboard.issues),
        web.get("/dashboard/runs", dashboard.runs),
        web.get("/dashboard/tests", dashboard.tests),
        web.get("/dashboard/projects", dashboard.projects),
        web.get("/dashboard/analytics", dashboard.analytics),
        web.get("/dashboard/billing", dashboard.billing),
        web.get("/_next/static/{file:.+}", static.static),
        web.get("/images/{file:.+}", static.static),
        web.get("/fonts/{file:.+}", static.static),
    ]


def _api_routes() -> list[web.RouteDef]:
    one = r"/{id:\d{1,19}}"
    return [
        web.get("/metrics", internal.metrics),
        web.get("/internal/db", internal.database),
        web.get("/internal/db.html", internal.database),
        web.get("/api/health", health.health),
        web.get("/.well-known/jwks.json", health.key_set),
        web.get("/api/openapi.json", health.description),
        web.post("/api/auth/login", auth.login),
        web.post("/api/auth/logout", auth.logout),
        web.get("/api/auth/session", auth.session),
        web.post("/api/auth/switch", auth.switch),
        web.get("/api/auth/api-keys", auth.list_keys),
        web.post("/api/auth/api-keys", auth.create_key),
        web.delete(f"/api/auth/api-keys{one}", auth.revoke_key),
        web.post("/api/stripe/webhook", stripe.webhook),
        web.get("/api/stripe/subscription", stripe.subscription),
        web.post("/api/stripe/portal", stripe.portal),
        web.route("*", "/api/trpc/{procedures}", trpc.call),
        web.get("/api/organizations", organizations.list_organizations),
        web.post("/api/organizations", organizations.create_organization),
        web.get(f"/api/organizations{one}", organizations.read_organization),
        web.patch(f"/api/organizations{one}", organizations.rename_organization),
        web.get("/api/members", people.members),
        web.get("/api/audit", people.audit_log),
        web.get("/api/auth/activity", people.activity),
        web.get("/api/projects", projects.list_projects),
        web.post("/api/projects", projects.create_project),
        web.get(f"/api/projects{one}", projects.read_project),
        web.patch(f"/api/projects{one}", projects.update_project),
        web.get("/api/events", live.server_sent_events, allow_head=False),
        web.get("/api/ws", live.websocket, allow_head=False),
    ]


@web.middleware
async def _remembered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note what the queries of this request are for."""
    resource = request.match_info.route.resource
    parent = request.headers.get("Traceparent", "").split("-")
    trace = parent[1] if len(parent) == 4 else request.headers.get("X-Request-Id", "")
    route = resource.canonical if resource is not None else ""
    origin.set(Origin(f"{request.method} {route}", trace[:64]))
    return await handler(request)


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    # aiohttp would tell its own version and Python's to everybody.
    response.headers["Server"] = "hub"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.content_type == "text/html" and not request.path.startswith("/internal/"):
        response.headers["Content-Security-Policy"] = _PAGES_MAY
        response.headers["Referrer-Policy"] = "same-origin"


async def _end_live_connections(app: web.Application) -> None:
    app[HUB].broadcaster.close()
