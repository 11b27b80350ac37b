"""The pages that people see: home, blog, documentation, login and the dashboard.

Public pages are the same for everybody, so that one stored copy serves all; whether
somebody is logged in shows only on the dashboard, which nobody may store.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import quote

from aiohttp import web
from jinja2 import DictLoader, Environment, StrictUndefined

from upstream import caching, queries
from upstream.answers import HTML, query_values
from upstream.assets import Assets
from upstream.caching import Freshness
from upstream.context import HUB
from upstream.errors import ApiError, not_found
from upstream.handlers import procedures
from upstream.identity import Identity, identify
from upstream.pagination import Filters, PageRequest, fetch_page


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an article."""

    kind: Literal["heading", "code", "text"]
    text: str


def make_templates(assets: Assets) -> Environment:
    """Return the templates; whatever they print is escaped."""
    folder = files("upstream").joinpath("web", "templates")
    sources = {file.name: file.read_text() for file in folder.iterdir()}
    templates = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["asset"] = assets.path
    templates.filters["number"] = lambda value: f"{value:,}"
    templates.filters["day"] = lambda instant: instant.strftime("%-d %B %Y")
    templates.filters["minute"] = lambda instant: instant.strftime("%Y-%m-%d %H:%M")
    templates.filters["instant"] = lambda instant: instant.isoformat()
    return templates


def blocks(body: str) -> list[Block]:
    """Return the parts of an article's body (see the column's comment in the schema)."""
    found = []
    for part in re.split(r"\n\s*\n", body.strip("\n")):
        if part.startswith("## "):
            found.append(Block("heading", part.removeprefix("## ")))
        elif part.startswith("    "):
            lines = (line.removeprefix("    ") for line in part.splitlines())
            found.append(Block("code", "\n".join(lines)))
        else:
            found.append(Block("text", " ".join(part.split())))
    return found


async def home(request: web.Request) -> web.Response:
    """Answer with the front page."""
    pool = request.app[HUB].pool
    figures = await pool.fetchrow(queries.PUBLIC_FIGURES)
    posts = await pool.fetch(queries.ARTICLES_OF_SECTION, "blog")
    return _public(
        request,
        "home.html",
        caching.PAGES,
        groups=["pages", "blog"],
        figures=figures,
        posts=posts[:3],
    )


async def blog(request: web.Request) -> web.Response:
    """Answer with the list of posts."""
    return await _section(request, "blog", caching.PAGES)


async def docs(request: web.Request) -> web.Response:
    """Answer with the contents of the documentation."""
    return await _section(request, "docs", caching.DOCS)


async def blog_post(request: web.Request) -> web.Response:
    """Answer with one post."""
    return await _article(request, "blog", caching.PAGES)


async def docs_page(request: web.Request) -> web.Response:
    """Answer with one page of the documentation."""
    return await _article(request, "docs", caching.DOCS)


async def login_page(request: web.Request) -> web.Response:
    """Answer with the form."""
    return _private(
        request,
        "login.html",
        failed="failed" in request.query,
        next=request.query.get("next", ""),
    )


async def dashboard(request: web.Request) -> web.Response:
    """Answer with what matters today in the caller's organization."""
    identity = await _person(request)
    pool = request.app[HUB].pool
    metrics = await procedures.get_metrics(pool, identity.org_id, procedures.MetricsInput(days=30))
    issues = await procedures.get_issues(
        pool, identity.org_id, procedures.IssuesInput(limit=8, status="open", severity="critical")
    )
    runs = await procedures.get_runs(pool, identity.org_id, procedures.RunsInput(limit=8))
    return _private(
        request,
        "dashboard.html",
        identity=identity,
        metrics=metrics,
        highest=max((day["issuesFound"] for day in metrics.series), default=0) or 1,
        issues=issues.data,
        runs=runs.data,
    )


async def dashboard_list(request: web.Request) -> web.Response:
    """Answer with one of the dashboard's lists, by page."""
    identity = await _person(request)
    hub = request.app[HUB]
    name = request.match_info["list"]
    try:
        wanted = query_values(request, PageRequest)
    except ApiError:  # an address that was typed by hand begins at the first page
        wanted = PageRequest()
    listing = {
        "issues": queries.ISSUES,
        "runs": queries.RUNS,
        "tests": queries.TESTS,
        "projects": queries.PROJECTS,
    }[name]
    page = await fetch_page(hub.pool, listing, identity.org_id, Filters((), ()), wanted)
    return _private(
        request,
        "list.html",
        identity=identity,
        name=name,
        rows=page.data,
        pagination=page.pagination,
    )


async def billing(request: web.Request) -> web.Response:
    """Answer with what the organization pays for."""
    identity = await _person(request)
    row = await request.app[HUB].pool.fetchrow(queries.SUBSCRIPTION_OF_ORG, identity.org_id)
    return _private(request, "billing.html", identity=identity, subscription=row)


def error_page(request: web.Request, error: ApiError) -> bytes:
    """Return the page that tells a person what went wrong."""
    template = request.app[HUB].templates.get_template("error.html")
    text = template.render(
        path=request.path, status=int(error.status), phrase=error.status.phrase, error=error
    )
    return text.encode()


async def _section(
    request: web.Request, section: Literal["blog", "docs"], freshness: Freshness
) -> web.Response:
    articles = await request.app[HUB].pool.fetch(queries.ARTICLES_OF_SECTION, section)
    return _public(
        request, "section.html", freshness, groups=[section], section=section, articles=articles
    )


async def _article(
    request: web.Request, section: Literal["blog", "docs"], freshness: Freshness
) -> web.Response:
    pool = request.app[HUB].pool
    slug = request.match_info["slug"]
    article = await pool.fetchrow(queries.ARTICLE, section, slug)
    if article is None:
        raise not_found(f"there is no page called {slug[:80]!r} here")
    return _public(
        request,
        "article.html",
        freshness,
        groups=[section, f"{section}:{slug}"],
        section=section,
        article=article,
        blocks=blocks(article["body"]),
        articles=await pool.fetch(queries.ARTICLES_OF_SECTION, section),
    )


async def _person(request: web.Request) -> Identity:
    """Return who looks at the dashboard, or send them to the login page."""
    if (identity := await identify(request)) is None:
        raise ApiError(
            HTTPStatus.SEE_OTHER,
            "login_required",
            "log in first",
            headers={"Location": f"/login?next={quote(request.path_qs, safe='/')}"},
        )
    return identity


def _public(
    request: web.Request, template: str, freshness: Freshness, *, groups: list[str], **values: Any
) -> web.Response:
    text = request.app[HUB].templates.get_template(template).render(path=request.path, **values)
    return caching.cacheable(request, text.encode(), HTML, freshness=freshness, groups=groups)


def _private(request: web.Request, template: str, **values: Any) -> web.Response:
    text = request.app[HUB].templates.get_template(template).render(path=request.path, **values)
    return web.Response(
        body=text.encode(), headers={"Content-Type": HTML, "Cache-Control": caching.NEVER}
    )
