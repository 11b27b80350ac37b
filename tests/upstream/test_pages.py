"""Pages and files: what everybody sees, and how long it may be kept."""

import re
import time
from dataclasses import replace

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.upstream.world import NEVER, Client
from upstream.app import make_app
from upstream.context import Hub

HOUR = "public, s-maxage=3600, stale-while-revalidate=86400"
HALF_HOUR = "public, s-maxage=1800, stale-while-revalidate=86400"
YEAR = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("path", "cache_control", "words"),
    [
        ("/", HOUR, "Your code, looked after"),
        ("/blog", HOUR, "Why Autopilot makes small changes"),
        ("/blog/one-dashboard", HOUR, "There is no score"),
        ("/docs", HALF_HOUR, "Getting started"),
        ("/docs/trpc", HALF_HOUR, "the status is 207"),
    ],
)
async def test_a_public_page_is_the_same_for_everybody_and_may_be_kept(
    anyone: Client, ada: Client, path: str, cache_control: str, words: str
) -> None:
    reply = await anyone.get(path)

    text = await reply.text()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == cache_control
    assert int(reply.headers["Content-Length"]) == len(text.encode())
    assert "Set-Cookie" not in reply.headers
    assert words in text
    assert await (await ada.get(path)).text() == text


@pytest.mark.parametrize(
    "path", ["/", "/docs/trpc", "/api/projects", "/api/trpc/insight.getIssues"]
)
async def test_what_the_client_has_already_isnt_sent_again(ada: Client, path: str) -> None:
    first = await ada.get(path)

    again = await ada.get(path, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})

    assert (again.status, await again.read()) == (304, b"")
    for name in ("ETag", "Cache-Control", "Cache-Groups"):
        assert again.headers[name] == first.headers[name]


async def test_a_changed_answer_has_another_validator(ada: Client) -> None:
    first = await ada.get("/api/projects/1")
    await ada.patch("/api/projects/1", json={"name": "Another name"})

    again = await ada.get("/api/projects/1", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status == 200
    assert again.headers["ETag"] != first.headers["ETag"]


async def test_head_is_get_without_the_body(anyone: Client) -> None:
    whole, head = await anyone.get("/docs"), await anyone.head("/docs")

    assert await head.read() == b""
    for name in ("Content-Length", "ETag", "Cache-Control", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


async def test_every_file_that_a_page_names_is_there_for_a_year(ada: Client) -> None:
    pages = [await (await ada.get(path)).text() for path in ("/", "/dashboard")]
    named = {
        path
        for page in pages
        for path in re.findall(r'(?:src|href)="(/(?:_next|images|fonts)/[^"]+)"', page)
    }

    assert {path.rpartition(".")[2] for path in named} == {"css", "js", "png", "svg"}
    for path in named:
        reply = await ada.get(path)
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == YEAR
        # Each content coding has a tag of its own, after the hash that the name has, too.
        assert reply.headers["ETag"].strip('"').partition("-")[0] in path
        again = await ada.get(path, headers={"If-None-Match": reply.headers["ETag"]})
        assert again.status == 304


async def test_styles_name_fonts_by_their_hash(anyone: Client, hub: Hub) -> None:
    style = await (await anyone.get(hub.assets.path("_next/static/site.css"))).text()

    assert f'url("{hub.assets.path("fonts/hub-figures.woff2")}")' in style


@pytest.mark.parametrize(
    "path",
    [
        "/_next/static/site.css",
        "/_next/static/site.0000000000.css",
        "/images/%2e%2e/%2e%2e/seed.sql",
        "/fonts/none.woff2",
    ],
)
async def test_a_file_that_isnt_there_is_not_kept_for_a_year(anyone: Client, path: str) -> None:
    reply = await anyone.get(path)

    assert reply.status == 404
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/blog/none", "/docs/none", "/nothing", "/blog/<script>"])
async def test_a_page_that_isnt_there_says_so_as_a_page(anyone: Client, path: str) -> None:
    reply = await anyone.get(path)

    assert reply.status == 404
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "<script>" not in await reply.text()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dashboard", "Issues found and resolved"),
        ("/dashboard/issues", "Detector"),
        ("/dashboard/runs", "Trigger"),
        ("/dashboard/tests", "Accessibility"),
        ("/dashboard/projects", "Slug"),
        ("/dashboard/analytics", "Day by day"),
        ("/dashboard/billing", "Next invoice"),
    ],
)
async def test_the_dashboard_shows_the_own_organization_and_is_never_kept(
    alan: Client, path: str, words: str
) -> None:
    reply = await alan.get(path)

    text = await reply.text()
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == NEVER
    assert "ETag" not in reply.headers
    assert words in text
    assert "Initech" in text
    assert "Acme" not in text


async def test_a_list_of_the_dashboard_is_walked_by_its_links_which_keep_the_filters(
    ada: Client,
) -> None:
    filters = "status=open&severity=low&since=2026-06-01"
    first = await (await ada.get(f"/dashboard/issues?{filters}")).text()
    second = await (await ada.get(f"/dashboard/issues?{filters}&page=2&limit=10")).text()

    kept = "since=2026-06-01&amp;status=open&amp;severity=low"
    assert f'href="?{kept}&amp;page=2"' in first
    assert f'href="?page=1&amp;limit=10&amp;{kept}"' in second


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/dashboard/issues?page=minus", "page"),
        ("/dashboard/issues?severity=awful", "severity"),
        ("/dashboard/runs?since=yesterday", "since"),
        ("/dashboard/tests?project=x", "project"),
        ("/dashboard/projects?language=Klingon", "language"),
        ("/dashboard/analytics?days=0", "days"),
    ],
)
async def test_a_page_that_cant_be_meant_names_the_field(
    ada: Client, path: str, field: str
) -> None:
    reply = await ada.get(path)

    assert reply.status == 400
    assert f"{field}: " in await reply.text()
    assert reply.headers["Cache-Control"] == NEVER


async def test_a_form_that_nobody_filled_in_shows_everything(ada: Client) -> None:
    everything = await (await ada.get("/dashboard/issues")).text()

    empty = await ada.get("/dashboard/issues?search=&status=&severity=&since=&utm_source=mail")

    assert await empty.text() == everything


async def test_the_lists_show_what_was_asked_for_and_nothing_else(ada: Client) -> None:
    text = await (await ada.get("/dashboard/issues?status=resolved&severity=critical")).text()

    rows = text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert rows.count("<tr ") == 20
    assert set(re.findall(r'class="tag (\w+)"', rows)) == {"critical", "resolved"}


async def test_every_picture_says_how_large_it_is(ada: Client) -> None:
    for path in ("/", "/blog", "/docs", "/docs/trpc", "/login", "/dashboard"):
        text = await (await ada.get(path)).text()
        pictures = re.findall(r"<img [^>]+>", text)
        assert pictures, path
        for picture in pictures:
            assert re.search(r'width="\d+" height="\d+"', picture), picture
            assert 'alt="' in picture


async def test_pages_run_nothing_but_what_comes_from_here(ada: Client) -> None:
    for path in ("/", "/dashboard", "/login", "/nothing"):
        reply = await ada.get(path)
        assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
        assert not re.search(r"<script>|<style|\son\w+=|style=", await reply.text())


@pytest.mark.parametrize(
    "path", ["/", "/blog", "/docs/trpc", "/api/projects", "/api/organizations"]
)
async def test_an_answer_says_when_it_changed_and_isnt_sent_again_to_whom_knows_it(
    hub: Hub, ada: Client, path: str
) -> None:
    later = replace(hub, clock=lambda: time.time() + 3600)
    cookies = {cookie.key: cookie.value for cookie in ada.session.cookie_jar}
    client: Client = type(ada)(TestServer(make_app(later)), cookies=cookies)
    async with client:
        first = await client.get(path)
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        long_ago = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}

        again = await client.get(path, headers=since)
        unknown = await client.get(path, headers=long_ago)
        other = await client.get(path, headers=since | {"If-None-Match": '"other"'})

    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    # If-None-Match is the better question, so the other one isn't looked at.
    assert (unknown.status, other.status) == (200, 200)


async def test_the_date_of_another_organizations_answer_is_no_answer_to_this_one(
    hub: Hub, ada: Client, sql: asyncpg.Connection
) -> None:
    later = replace(hub, clock=lambda: time.time() + 60)
    cookies = {cookie.key: cookie.value for cookie in ada.session.cookie_jar}
    client: Client = type(ada)(TestServer(make_app(later)), cookies=cookies)
    async with client:
        # Dates have no fractions: let the first answer be of an older second.
        await sql.execute("UPDATE sessions SET acting_since = acting_since - interval '2 s'")
        await sql.execute("UPDATE organizations SET changed_at = changed_at - interval '1 day'")
        of_acme = await client.get("/api/projects?limit=1")
        await client.post("/api/auth/switch", json={"organizationId": 2})

        of_globex = await client.get(
            "/api/projects?limit=1",
            headers={"If-Modified-Since": of_acme.headers["Last-Modified"]},
        )

    assert of_globex.status == 200


async def test_the_dashboard_sends_strangers_to_the_login_page(anyone: Client) -> None:
    reply = await anyone.get("/dashboard/runs?page=2", allow_redirects=False)

    assert reply.status == 303
    assert reply.headers["Location"] == "/login?next=/dashboard/runs%3Fpage%3D2"
    assert reply.headers["Cache-Control"] == NEVER
    form = await anyone.get(reply.headers["Location"])
    assert 'value="/dashboard/runs?page=2"' in await form.text()
    assert form.headers["Cache-Control"] == NEVER


async def test_what_the_address_says_is_escaped(anyone: Client) -> None:
    text = await (await anyone.get("/login", params={"next": '"><script>'})).text()

    assert "<script>" not in text


@pytest.mark.parametrize(
    "path",
    ["/api/health", "/api/auth/session", "/api/stripe/none", "/api/auth/none", "/dashboard/x"],
)
async def test_nothing_under_the_private_paths_may_ever_be_kept(anyone: Client, path: str) -> None:
    assert (await anyone.get(path)).headers["Cache-Control"] == NEVER


async def test_an_unknown_path_of_the_api_is_answered_as_json(anyone: Client) -> None:
    reply = await anyone.get("/api/none")

    assert reply.status == 404
    assert await reply.json() == {
        "error": {"code": "not_found", "message": "there is nothing here", "field": None}
    }


async def test_nobody_is_told_what_the_hub_is_made_of(anyone: TestClient) -> None:  # type: ignore[type-arg]
    assert (await anyone.get("/api/health")).headers["Server"] == "hub"


async def test_a_modules_name_changes_with_everything_that_it_loads(
    anyone: Client, hub: Hub
) -> None:
    entry = await (await anyone.get(hub.assets.path("_next/static/app.js"))).text()

    named = re.findall(r'import\("\./([^"]+)"\)', entry)
    assert len(named) == 6
    for name in named:
        assert re.fullmatch(r"\w+\.[0-9a-f]{10}\.js", name)
        module = await anyone.get(f"/_next/static/{name}")
        assert module.status == 200
        for below in re.findall(r'from "\./([^"]+)"', await module.text()):
            assert (await anyone.get(f"/_next/static/{below}")).status == 200
