"""Scripts, styles, images and fonts: kept by everyone for a year, or not there at all."""

import re

from aiohttp import web

from upstream import caching
from upstream.assets import Asset
from upstream.context import HUB
from upstream.errors import not_found

_CODING = re.compile(r"([A-Za-z0-9*-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


async def static(request: web.Request) -> web.Response:
    """Answer with the file of this very name and hash, as small as the client takes it."""
    asset = request.app[HUB].assets.find(request.path)
    if asset is None:
        raise not_found("there is no such file")
    coding = chosen(request.headers.get("Accept-Encoding", ""), asset)
    # Other bytes, another tag (RFC 9110 section 8.8.3.3).
    etag = asset.etag if coding is None else f"{asset.etag}-{coding}"
    headers = {"Cache-Control": caching.STATIC.cache_control, "ETag": f'"{etag}"'}
    if asset.encoded:
        headers["Vary"] = "Accept-Encoding"
    if caching.known_to_client(request, etag):
        return web.Response(status=304, headers=headers)
    headers |= {"Content-Type": asset.content_type, "X-Content-Type-Options": "nosniff"}
    if coding is None:
        return web.Response(body=asset.body, headers=headers)
    headers["Content-Encoding"] = coding
    return web.Response(body=asset.encoded[coding], headers=headers)


def chosen(accepted: str, asset: Asset) -> str | None:
    """Return the coding of *asset* for a client that says *accepted*; None for none.

    RFC 9110 section 12.5.3: of those that the client likes best, the smallest. Silence is
    taken for none, as most clients mean it.
    """
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        match = _CODING.fullmatch(part.strip(" \t"))
        if match is not None:
            name = match[1].lower()
            weights[{"x-gzip": "gzip"}.get(name, name)] = float(match[2] or 1)
    best: str | None = None
    most = 0.0
    for coding in asset.encoded:
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > most:
            best, most = coding, weight
    return best if most >= weights.get("identity", 0.0) else None
