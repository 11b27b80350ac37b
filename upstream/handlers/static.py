"""Scripts, styles, images and fonts: kept by everyone for a year, or not there at all."""

from aiohttp import web

from upstream import caching
from upstream.context import HUB
from upstream.errors import not_found


async def static(request: web.Request) -> web.Response:
    """Answer with the file of this very name and hash."""
    asset = request.app[HUB].assets.find(request.path)
    if asset is None:
        raise not_found("there is no such file")
    headers = {"Cache-Control": caching.STATIC.cache_control, "ETag": f'"{asset.etag}"'}
    if caching.known_to_client(request, asset.etag):
        return web.Response(status=304, headers=headers)
    headers |= {"Content-Type": asset.content_type, "X-Content-Type-Options": "nosniff"}
    return web.Response(body=asset.body, headers=headers)
