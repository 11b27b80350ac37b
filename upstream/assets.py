"""Scripts, styles, images and fonts, served under names that hold a hash of their content.

A new content is a new name, so whatever was sent under a name stays right for ever and may
be kept for a year.  A name without its hash, or with an old one, is simply not there.

Files name one another by their plain names: a style its fonts as ``url("/fonts/x.woff2")``,
a module another as ``"./x.js"``.  Here these become the hashed ones, so a module's name
changes with everything that it loads.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import brotli
import zstandard

_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_TEXTS = frozenset({"css", "js", "svg"})
"""What gets smaller; pictures and fonts are compressed already."""
_LEAST_BYTES = 1024
_HASH_LENGTH = 10
_MODULE = re.compile(rb'"\./([\w-]+\.js)"')
"""What follows ``from`` or stands in ``import(...)``; our modules use these quotes alone."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file in memory."""

    path: str
    """Where it is served, hash included."""
    content_type: str
    body: bytes
    etag: str
    encoded: Mapping[str, bytes] = field(default_factory=dict)
    """Its body in content codings that make it smaller, the smallest first."""


class Assets:
    """All files under ``web/static``, by plain name and by address."""

    def __init__(self) -> None:
        """Read them; a few hundred kilobytes."""
        self._paths: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        self.modified = newest_change(files("upstream"))
        """When this version of the hub was put in place; seconds since the epoch."""
        root = files("upstream").joinpath("web", "static")
        waiting = {name: file.read_bytes() for name, file in _walk(root, "")}
        while waiting:
            # Whoever names nothing that waits is next.
            ready = [
                name for name, body in waiting.items() if not _named(name, body) & set(waiting)
            ]
            if not ready:
                raise ValueError(f"these files name one another in a circle: {sorted(waiting)}")
            for name in ready:
                self._add(name, waiting.pop(name))

    def path(self, name: str) -> str:
        """Return the address of the file called *name*, such as ``images/logo.svg``."""
        return self._paths[name]

    def find(self, path: str) -> Asset | None:
        """Return the file served at *path*; None when there is none."""
        return self._assets.get(path)

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._assets.values())

    def _add(self, name: str, body: bytes) -> None:
        stem, _, extension = name.rpartition(".")
        for known in _named(name, body):
            if extension == "css":
                body = body.replace(f'"/{known}"'.encode(), f'"{self._paths[known]}"'.encode())
            else:
                plain, hashed = known.rpartition("/")[2], self._paths[known].rpartition("/")[2]
                body = body.replace(f'"./{plain}"'.encode(), f'"./{hashed}"'.encode())
        digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
        path = f"/{stem}.{digest}.{extension}"
        self._paths[name] = path
        encoded = _encoded(body) if extension in _TEXTS else {}
        self._assets[path] = Asset(path, _CONTENT_TYPES[extension], body, digest, encoded)


def _encoded(body: bytes) -> dict[str, bytes]:
    """Return *body* in each coding, as small as it gets: made once, sent for a year.

    The same bytes each time, so that every process of the hub has the same.
    """
    if len(body) < _LEAST_BYTES:
        return {}
    made = {
        "br": brotli.compress(body, quality=11),
        "zstd": zstandard.ZstdCompressor(level=19).compress(body),
        "gzip": gzip.compress(body, compresslevel=9, mtime=0),
    }
    smaller = {coding: some for coding, some in made.items() if len(some) < len(body)}
    return dict(sorted(smaller.items(), key=lambda each: len(each[1])))


def _named(name: str, body: bytes) -> set[str]:
    """Return the files that the file called *name* names."""
    if name.endswith(".css"):
        return {path.decode() for path in re.findall(rb'url\("/([^"]+)"\)', body)}
    if name.endswith(".js"):
        folder = name.rpartition("/")[0]
        return {f"{folder}/{module.decode()}" for module in _MODULE.findall(body)}
    return set()


def newest_change(folder: Traversable) -> float:
    """Return when the newest file below *folder* was written; 0 for files inside an archive."""
    if not isinstance(folder, Path):
        return 0.0
    written = (file.stat().st_mtime for file in folder.rglob("*.*") if file.suffix != ".pyc")
    return max(written, default=0.0)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif name.rpartition(".")[2] in _CONTENT_TYPES:
            found.append((name, entry))
    return sorted(found, key=lambda pair: pair[0])
