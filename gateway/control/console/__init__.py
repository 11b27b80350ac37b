"""The console: one page that shows what a gateway does, and changes it.

Its files are as they are sent, with no step that builds them. They hold no figures, so anybody
may have them; what they show they ask of ``/-/api/``, with the token where one is needed.
"""

from importlib.resources import files
from typing import Final

from aiohttp import web

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_NAMES: Final = ("index.html", "console.css", "console.js", "charts.js", "editor.js")
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_to(router: web.UrlDispatcher) -> None:
    """Let *router* know the console's files."""
    router.add_get("/console", _elsewhere)
    router.add_get("/console/", _file)
    router.add_get("/console/{name}", _file)


async def _elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=301, headers={"Location": "/console/"})


async def _file(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "index.html")
    if name not in _NAMES:
        raise web.HTTPNotFound
    content = files(__name__).joinpath(name).read_bytes()
    return web.Response(
        body=content,
        content_type=_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers=_HEADERS,
    )
