"""What a page will need, as its HTML says: styles, scripts, fonts, the picture that matters.

Read from the first part of a page, where what blocks rendering stands. Only what belongs to
the page's own origin counts; whether it may be told to everybody is for the caller to find out.
"""

from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from typing_extensions import override

LOOKED_AT_BYTES = 64 * 1024
_SCRIPTS = frozenset({"", "text/javascript", "application/javascript", "module"})
_FOR_SCREENS = frozenset({"", "all", "screen"})
_KINDS = frozenset({"style", "script", "font", "image", "fetch"})
_UNFIT = frozenset(" <>\"'\\^`{|}")


@dataclass(frozen=True, slots=True)
class PageLink:
    """One file that a page needs."""

    target: str
    """Path and query."""
    attributes: str
    """Link parameters, from ``rel`` on."""

    def encode(self) -> bytes:
        """Return it as a member of a Link field (RFC 8288 section 3)."""
        return f"<{self.target}>; {self.attributes}".encode("ascii")


class _Page(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__(convert_charrefs=True)
        self._path = path
        self.found: dict[str, PageLink] = {}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in reversed(attrs)}
        if "integrity" in values and tag != "img":
            # What is preloaded without its digest would be fetched a second time.
            return
        match tag:
            case "link":
                self._link(values)
            case "script" if "nomodule" not in values:
                kind = values.get("type", "").strip().lower()
                if kind in _SCRIPTS:
                    as_ = "rel=modulepreload" if kind == "module" else "rel=preload; as=script"
                    self._add(values.get("src"), as_, values)
            case "img" if values.get("fetchpriority", "").lower() == "high":
                if "srcset" not in values and values.get("loading", "").lower() != "lazy":
                    self._add(
                        values.get("src"), "rel=preload; as=image; fetchpriority=high", values
                    )
            case "base":
                self._path = urljoin(self._path, values.get("href", ""))

    def _link(self, values: dict[str, str]) -> None:
        rels = values.get("rel", "").lower().split()
        media = values.get("media", "").strip().lower()
        if media not in _FOR_SCREENS or "disabled" in values:
            return
        if "stylesheet" in rels and "alternate" not in rels:
            self._add(values.get("href"), "rel=preload; as=style", values)
        elif "modulepreload" in rels:
            self._add(values.get("href"), "rel=modulepreload", values)
        elif "preload" in rels and "imagesrcset" not in values:
            kind = values.get("as", "").lower()
            if kind in _KINDS:
                self._add(values.get("href"), f"rel=preload; as={kind}", values)

    def _add(self, href: str | None, attributes: str, values: dict[str, str]) -> None:
        if not href:
            return
        try:
            parts = urlsplit(urljoin(self._path, href.strip()))
        except ValueError:
            return
        if parts.scheme or parts.netloc or not parts.path.startswith("/"):
            return
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if not target.isascii() or not target.isprintable() or not _UNFIT.isdisjoint(target):
            return
        if "crossorigin" in values:
            secret = values["crossorigin"].lower() == "use-credentials"
            attributes += "; crossorigin=use-credentials" if secret else "; crossorigin"
        self.found.setdefault(target, PageLink(target, attributes))


def links(html: bytes, path: str) -> list[PageLink]:
    """Return what the page *html*, which is at *path*, needs of its own origin, in its order."""
    page = _Page(path)
    page.feed(html[:LOOKED_AT_BYTES].decode("utf-8", "replace"))
    return list(page.found.values())
