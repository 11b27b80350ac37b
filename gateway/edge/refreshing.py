"""Refreshing what is stored behind the clients' backs (RFC 5861 section 3).

One fetch for each key at a time, for whoever notices first that it is due. While an origin
fails it is asked less and less often: those who are served a stale response don't wait, so
nothing is gained by asking for each of them.
"""

import random

from gateway.edge.collapse import Fetch, Fetches
from gateway.edge.site import Site
from gateway.errors import GatewayError
from gateway.policy.stored import StoredResponse
from gateway.resilience.backoff import Backoff
from gateway.routing.route import Route
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead

_PAUSES = Backoff(first=1.0, longest=30.0)
_MOST_FAILING = 4096
"""Keys whose failures are remembered."""


class Refreshes:
    """The refreshes of one worker."""

    def __init__(self, site: Site, fetches: Fetches) -> None:
        self._site = site
        self._fetches = fetches
        self._failing: dict[bytes, tuple[int, float]] = {}
        """How often a key's refresh has failed in a row, and until when to leave it."""

    def begin(
        self,
        key: bytes,
        head: RequestHead,
        fields: Fields,
        route: Route,
        stored: StoredResponse,
        client: bytes,
    ) -> bool:
        """Ask the origin for a successor of *stored*, on behalf of the address *client*.

        *fields* go to the origin. False when that is going on already, or failed just now.
        """
        if self._fetches.find(key, head) is not None:
            return False
        _, until = self._failing.get(key, (0, 0.0))
        if self._site.monotonic() < until:
            return False
        fetch = Fetch(self._site, self._fetches, key, head, fields, route, stored)
        self._fetches.add(key, fetch)
        fetch.join(_Refresh(self, key, head))
        self._site.counters.refreshes += 1
        fetch.start(client)
        return True

    def failed(self, key: bytes) -> None:
        """Note that nothing usable came for *key*."""
        count, _ = self._failing.pop(key, (0, 0.0))
        if len(self._failing) >= _MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        # Chance spreads what failed together.
        pause = _PAUSES.pause(count + 2, random.random())  # noqa: S311 - no secret
        self._failing[key] = (count + 1, self._site.monotonic() + pause)

    def succeeded(self, key: bytes) -> None:
        """Note that *key* has an answer again."""
        if self._failing:
            self._failing.pop(key, None)


class _Refresh:
    """Stands in for a client at a fetch that no client waits for; takes nothing of its body."""

    def __init__(self, refreshes: Refreshes, key: bytes, head: RequestHead) -> None:
        self._refreshes = refreshes
        self._key = key
        self.head = head
        self.position = 0

    def fetch_interim(self, head: ResponseHead) -> None:
        """Tell nobody: nobody is there."""

    def fetch_head(self, fetch: Fetch) -> None:
        """Let it come, if it will be stored; else there is nobody to have it."""
        if fetch.preview() is None:
            response = fetch.response
            assert response is not None
            if response.status >= 500:
                self._refreshes.failed(self._key)
            else:
                self._refreshes.succeeded(self._key)
        else:
            self._refreshes.succeeded(self._key)
        fetch.leave(self)

    def fetch_validated(self, stored: StoredResponse) -> None:  # noqa: ARG002
        """Note that it is good again."""
        self._refreshes.succeeded(self._key)

    def fetch_released(self) -> None:
        """Leave it to whoever asks next: what came is another's."""

    def fetch_failed(self, error: GatewayError) -> None:  # noqa: ARG002
        """Leave it for a while."""
        self._refreshes.failed(self._key)

    def pump(self) -> None:
        """Send nothing: nobody is there."""
