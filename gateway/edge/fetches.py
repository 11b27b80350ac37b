"""The fetches under way in one worker, and the keys whose requests don't wait for any."""

from typing import TYPE_CHECKING

from gateway.edge.site import Site
from gateway.wire.message import RequestHead

if TYPE_CHECKING:
    from gateway.edge.collapse import Fetch

_SIDE_BY_SIDE_SECONDS = 10.0
_SIDE_BY_SIDE_KEYS = 16_384


class Fetches:
    """The fetches under way in this worker, by cache key."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._by_key: dict[bytes, list[Fetch]] = {}
        self.side_by_side: dict[bytes, float] = {}
        """Keys whose requests don't wait for one another, and until when (monotonic seconds)."""

    def find(self, key: bytes, head: RequestHead) -> "Fetch | None":
        """Return a fetch that a request for *key* may wait for."""
        for fetch in self._by_key.get(key, ()):
            # Who came before a purge has what it asked for; who comes after it doesn't wait.
            if fetch.accepts(head) and not fetch.may_be_purged():
                return fetch
        return None

    def add(self, key: bytes, fetch: "Fetch") -> None:
        """Let others find *fetch*."""
        self._by_key.setdefault(key, []).append(fetch)

    def remove(self, key: bytes, fetch: "Fetch") -> None:
        """Let nobody find *fetch* any more."""
        fetches = self._by_key.get(key)
        if fetches is not None and fetch in fetches:
            fetches.remove(fetch)
            if not fetches:
                del self._by_key[key]

    def outdate(self, key: bytes) -> None:
        """Let nobody join what is under way for *key*, and keep nothing of it.

        A write made wrong what an origin may have read before.
        """
        for fetch in self._by_key.pop(key, ()):
            fetch.outdated = True

    def apart(self, key: bytes) -> bool:
        """Return whether requests for *key* should go side by side for now."""
        until = self.side_by_side.get(key)
        if until is None:
            return False
        if until < self._site.monotonic():
            del self.side_by_side[key]
            return False
        return True

    def remember_apart(self, key: bytes, seconds: float | None = None) -> None:
        """Let requests for *key* go side by side for a while: its answers can't be shared.

        For *seconds*; None for as long as usual.
        """
        self.side_by_side.pop(key, None)
        if len(self.side_by_side) >= _SIDE_BY_SIDE_KEYS:
            del self.side_by_side[next(iter(self.side_by_side))]
        until = _SIDE_BY_SIDE_SECONDS if seconds is None else seconds
        self.side_by_side[key] = self._site.monotonic() + until

    def remember_together(self, key: bytes) -> None:
        """Let requests for *key* wait for one another again."""
        if self.side_by_side:
            self.side_by_side.pop(key, None)
