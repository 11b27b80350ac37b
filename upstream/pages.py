"""The pages that everybody sees: home, blog, documentation and login.

They are the same for everybody, so that one stored copy serves all; whether somebody is
logged in shows only on the dashboard (`dashboard.py`), which nobody may store.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Literal

import asyncpg
from aiohttp import web
from jinja2 import DictLoader, Environment, StrictUndefined

from upstream import caching
from upstream.answers import HTML
from upstream.assets import Assets
from upstream.caching import Freshness
from upstream.context import HUB
from upstream.errors import ApiError, not_found
from upstream.queries_of_pages import ARTICLE, ARTICLES_OF_SECTION, PUBLIC_FIGURES


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
    templates.filters["date"] = lambda day: day.strftime("%-d %b %Y")
    templates.filters["duration"] = duration
    templates.filters["pairs"] = lambda words: [(word, word) for word in words]
    templates.filters["choices"] = lambda rows: [(row["id"], row["name"]) for row in rows]
    templates.filters["day"] = lambda instant: instant.strftime("%-d %B %Y")
    templates.filters["minute"] = lambda instant: instant.strftime("%-d %b %Y, %H:%M")
    templates.filters["instant"] = lambda instant: instant.isoformat()
    return templates


def duration(milliseconds: int | None) -> str:
    """Return how long something took, as people say it; a dash while it hasn't ended."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


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
    figures = await pool.fetchrow(PUBLIC_FIGURES)
    posts = await pool.fetch(ARTICLES_OF_SECTION, "blog")
    return _public(
        request,
        "home.html",
        caching.PAGES,
        groups=["pages", "blog"],
        changed=figures["changed_at"] if figures else None,
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
    return private_page(
        request,
        "login.html",
        failed="failed" in request.query,
        next=request.query.get("next", ""),
    )


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
    articles = await request.app[HUB].pool.fetch(ARTICLES_OF_SECTION, section)
    return _public(
        request,
        "section.html",
        freshness,
        groups=[section],
        changed=_newest(articles),
        section=section,
        articles=articles,
    )


async def _article(
    request: web.Request, section: Literal["blog", "docs"], freshness: Freshness
) -> web.Response:
    pool = request.app[HUB].pool
    slug = request.match_info["slug"]
    article = await pool.fetchrow(ARTICLE, section, slug)
    if article is None:
        raise not_found(f"there is no page called {slug[:80]!r} here")
    articles = await pool.fetch(ARTICLES_OF_SECTION, section)
    return _public(
        request,
        "article.html",
        freshness,
        groups=[section, f"{section}:{slug}"],
        changed=_newest(articles),
        section=section,
        article=article,
        blocks=blocks(article["body"]),
        articles=articles,
    )


def _newest(articles: Sequence[asyncpg.Record]) -> datetime | None:
    """Return when the section last changed: articles are published, never edited."""
    return max((article["published_at"] for article in articles), default=None)


def _public(
    request: web.Request,
    template: str,
    freshness: Freshness,
    *,
    groups: list[str],
    changed: datetime | None,
    **values: Any,
) -> web.Response:
    text = request.app[HUB].templates.get_template(template).render(path=request.path, **values)
    return caching.cacheable(
        request, text.encode(), HTML, freshness=freshness, groups=groups, changed=changed
    )


def private_page(request: web.Request, template: str, **values: Any) -> web.Response:
    """Return a page that no cache may keep."""
    text = request.app[HUB].templates.get_template(template).render(path=request.path, **values)
    return web.Response(
        body=text.encode(), headers={"Content-Type": HTML, "Cache-Control": caching.NEVER}
    )
