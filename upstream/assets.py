"""Scripts, styles, images and fonts, served under names that hold a hash of their content.

A new content is a new name, so whatever was sent under a name stays right for ever and may
be kept for a year.  A name without its hash, or with an old one, is simply not there.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_HASH_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Asset:
    """One file in memory."""

    path: str
    """Where it is served, hash included."""
    content_type: str
    body: bytes
    etag: str


class Assets:
    """All files under ``web/static``, by plain name and by address."""

    def __init__(self) -> None:
        """Read them; a few hundred kilobytes."""
        self._paths: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        self.modified = newest_change(files("upstream"))
        """When this version of the hub was put in place; seconds since the epoch."""
        root = files("upstream").joinpath("web", "static")
        # Styles name images and fonts by their hashes, so these are read before them.
        found = sorted(_walk(root, ""), key=lambda pair: pair[0].endswith((".css", ".js")))
        for name, file in found:
            self._add(name, file.read_bytes())

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
        if extension == "css":
            for known, path in self._paths.items():
                body = body.replace(f'url("/{known}")'.encode(), f'url("{path}")'.encode())
        digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
        path = f"/{stem}.{digest}.{extension}"
        self._paths[name] = path
        self._assets[path] = Asset(path, _CONTENT_TYPES[extension], body, digest)


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
