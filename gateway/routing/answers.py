"""What a route answers by itself, and which path its origin is asked for.

Targets are written with ``{path}``, the whole path of the request, and ``{rest}``, what the
star at the end of the matching glob stood for: with ``/old/*``, the path ``/old/a/b`` has the
rest ``/a/b``, and ``/old`` has none.
"""

import re
from dataclasses import dataclass

from gateway.errors import MalformedRequest
from gateway.routing import glob
from gateway.wire.fields import Fields, line
from gateway.wire.message import Target
from gateway.wire.target import normalise_path

_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")
PLACEHOLDERS = frozenset({"path", "rest"})
SAME_BY_HTTPS = "https"
"""As the target of a redirect: what was asked for, by https."""


@dataclass(frozen=True, slots=True)
class Respond:
    """A fixed answer; the origin isn't asked."""

    status: int
    body: bytes = b""
    fields: Fields = Fields()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere."""

    to: str
    """A path or an absolute URL, with placeholders; or `SAME_BY_HTTPS`."""
    status: int = 301
    keeps_query: bool = True

    def location(self, paths: tuple[str, ...], target: Target, host: bytes = b"") -> bytes:
        """Return the Location for *target*, which a route with the globs *paths* takes.

        A rest never turns a path into another host: slashes at the front are one. *host* is
        the one asked for; its port, which is that of plain http, is left out.

        Raises:
            MalformedRequest: a URL is needed, and the request names no host.

        """
        if self.to == SAME_BY_HTTPS:
            if not host:
                raise MalformedRequest("a request without a host can't be sent to https")
            named = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
            filled = b"https://%b%b" % (named, target.path)
            return (
                filled
                if target.query is None or not self.keeps_query
                else (b"%b?%b" % (filled, target.query))
            )
        filled = fill(self.to, paths, target.path)
        if filled.startswith(b"/"):
            filled = b"/" + filled.lstrip(b"/")
        if not self.keeps_query or target.query is None:
            return filled
        return b"%b%b%b" % (filled, b"&" if b"?" in filled else b"?", target.query)

    def respond(self, paths: tuple[str, ...], target: Target, host: bytes = b"") -> Respond:
        """Return the answer to a request for *target* at *host*."""
        location = self.location(paths, target, host)
        return Respond(self.status, b"", Fields([line(b"Location", location)]))


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Asks the origin for another path; routing and cache key go by the client's."""

    to: str
    """A path with placeholders."""

    def target(self, paths: tuple[str, ...], target: Target) -> Target:
        """Return what the origin is asked for instead of *target*; the query stays.

        Raises:
            MalformedRequest: what comes out is no path.

        """
        filled = b"/" + fill(self.to, paths, target.path).lstrip(b"/")
        return Target(normalise_path(filled), target.query)


def fill(template: str, paths: tuple[str, ...], path: bytes) -> bytes:
    """Return *template* with its placeholders filled for the normalised *path*."""

    def value(match: re.Match[str]) -> str:
        found = path if match[1] == "path" else rest(paths, path)
        return found.decode("ascii")

    return _PLACEHOLDER.sub(value, template).encode("ascii")


def rest(paths: tuple[str, ...], path: bytes) -> bytes:
    """Return what the final star of the first of *paths* that matches *path* stands for.

    With its leading slash; empty where nothing is below, and where the glob has no such star.
    """
    for pattern in paths:
        if glob.matches(pattern, path):
            segments, goes_on = glob.split(pattern)
            if not goes_on:
                return b""
            below = path.split(b"/")[len(segments) :]
            return b"/" + b"/".join(below) if below else b""
    return b""


def unknown_placeholders(template: str) -> list[str]:
    """Return the placeholders of *template* that mean nothing."""
    return [name for name in _PLACEHOLDER.findall(template) if name not in PLACEHOLDERS]


def is_path(template: str) -> bool:
    """Return whether *template*, its placeholders filled, can be a path of an origin."""
    try:
        normalise_path(_PLACEHOLDER.sub("", template).encode("utf-8") or b"/")
    except MalformedRequest:
        return False
    return template.startswith("/") and "?" not in template and "#" not in template
