"""Routes proposed from an OpenAPI description (3.x, in JSON or YAML).

A GET becomes a route: public where the description asks for no security, else for one user.
Writes to the same resource become `invalidate`, which clears the resource's group.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from gateway.config.draft import Draft, DraftRoute, DraftWrite, name_of
from gateway.config.shapes import Unfit
from gateway.config.units import parse_server
from gateway.errors import ConfigurationError, MalformedRequest
from gateway.routing import glob

# libyaml, where the wheel has it: a long description is read in a second instead of ten.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_WRITES = ("post", "put", "patch", "delete")
_LARGEST_BYTES = 32 << 20
_PARAMETER = re.compile(r"\{[^{}/]*\}")


def draft(content: bytes, name: str, server: str | None) -> Draft:
    """Return what the description *content*, read from *name*, suggests.

    *server* takes the place of the description's own; None takes its first absolute one.

    Raises:
        ConfigurationError: it is no OpenAPI description; the text says what is wrong.

    """
    described = _read(content, name)
    prefix, own = _server(described)
    routes: list[DraftRoute] = []
    writes: dict[str, tuple[list[str], set[str]]] = {}
    globally = described.get("security", [])
    for path, item in _items(described):
        found = _glob(prefix + path)
        if found is None:
            continue
        resource = _resource(path)
        methods = [method for method in _WRITES if isinstance(item.get(method), dict)]
        if methods:
            paths, verbs = writes.setdefault(resource, ([], set()))
            paths.append(found)
            verbs |= {method.upper() for method in methods}
        get = item.get("get")
        if isinstance(get, dict):
            routes.append(_route(found, get, item, resource, globally, routes))
    # The narrow ones first: a star takes what it can.
    routes.sort(key=lambda route: (route.paths[0].count("*"), -route.paths[0].count("/")))
    known = {group for route in routes for group in route.groups}
    return Draft(
        server=server or own or Draft().server,
        source=name,
        routes=tuple(routes),
        writes=tuple(
            DraftWrite(tuple(dict.fromkeys(paths)), tuple(sorted(verbs)), (resource,))
            for resource, (paths, verbs) in sorted(writes.items())
            if resource in known
        ),
    )


def _read(content: bytes, name: str) -> Mapping[str, Any]:
    if len(content) > _LARGEST_BYTES:
        raise ConfigurationError(f"{name} has more than 32MB; no API is described by that much")
    try:
        text = content.decode("utf-8")
        described = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{name} is neither JSON nor YAML: {error}") from error
    if not isinstance(described, dict) or not isinstance(described.get("paths"), dict):
        raise ConfigurationError(f'{name} is no OpenAPI description: it has no "paths"')
    if not str(described.get("openapi", "")).startswith("3."):
        raise ConfigurationError(
            f"{name}: expected openapi: 3.x; convert a description of another version first"
        )
    return described


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - either makes no objects


def _server(described: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the path that all others are under, and the server; None where it has none."""
    servers = described.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    url = first.get("url") if isinstance(first, dict) else None
    if not isinstance(url, str) or "{" in url:
        return "", None
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", None
    prefix = parts.path.rstrip("/")
    own = f"{parts.scheme}://{parts.netloc}"
    try:
        parse_server(own)
    except Unfit:  # relative to where the description was found
        return prefix, None
    return prefix, own


def _items(described: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in described["paths"].items():
        if isinstance(path, str) and path.startswith("/") and isinstance(item, dict):
            yield path, item


def _glob(path: str) -> str | None:
    """Return *path* with its parameters as stars; None when no request could have it."""
    try:
        # A star that is the last segment would take all below, too: what stands there is
        # rather one value, but no shorter glob says so.
        return glob.normalise(re.sub(r"\*+", "*", _PARAMETER.sub("*", path)))
    except (glob.BadGlob, MalformedRequest):
        return None


def _resource(path: str) -> str:
    """Return what *path* is about: its last segment that is no parameter."""
    named = [segment for segment in path.split("/") if segment and "{" not in segment]
    text = re.sub(r"[^A-Za-z0-9_.\-]+", "-", named[-1] if named else "root")
    return text.strip("-") or "root"


def _route(
    path: str,
    get: Mapping[str, Any],
    item: Mapping[str, Any],
    resource: str,
    globally: Any,
    routes: list[DraftRoute],
) -> DraftRoute:
    security = get.get("security", globally)
    # An empty requirement among them makes all of them optional.
    secured = not isinstance(security, list) or (bool(security) and {} not in security)
    about = " ".join(str(get.get("summary") or get.get("operationId") or "").split())[:80]
    who = "for whoever proves to be its user" if secured else "no security asked for: for everybody"
    parameters = [*_parameters(item), *_parameters(get)]
    names = tuple(dict.fromkeys(parameters))
    operation = get.get("operationId")
    wanted = operation if isinstance(operation, str) and operation.isascii() else path
    return DraftRoute(
        name_of(wanted, [route.name for route in routes]),
        (path,),
        f"{about}: {who}." if about else f"{who[0].upper()}{who[1:]}.",
        ttl="60s",
        scope="user" if secured else "public",
        groups=(resource,),
        key_parameters=names,
    )


def _parameters(holder: Mapping[str, Any]) -> Iterator[str]:
    listed = holder.get("parameters")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("in") == "query":
            name = each.get("name")
            if isinstance(name, str) and re.fullmatch(
                r"[!$%'()+,\-./0-9:;<>?@A-Z\[\]^_`a-z{|}~]{1,256}", name
            ):
                yield name
