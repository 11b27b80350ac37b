"""Refreshing what is stored behind the clients' backs (RFC 5861 section 3).

One fetch for each key at a time, for whoever notices first that it is due. While an origin
fails it is asked less and less often: those who are served a stale response don't wait, so
nothing is gained by asking for each of them.
"""

from dataclasses import replace

from gateway.edge import forwarding
from gateway.edge.asked import Cacheable
from gateway.edge.collapse import Fetch
from gateway.edge.fetches import Fetches
from gateway.edge.site import Site
from gateway.errors import GatewayError
from gateway.policy import refresh
from gateway.policy.reuse import Deliver
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
        self.fetches = fetches
        self._site = site
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
        if self.fetches.find(key, head) is not None or self.failing(key):
            return False
        if head.method != b"GET":
            head = replace(head, method=b"GET")
        fetch = Fetch(self._site, self.fetches, key, head, fields, route, stored)
        self.fetches.add(key, fetch)
        fetch.join(_Refresh(self, key, head))
        self._site.counters.refreshes += 1
        fetch.start(client)
        return True

    def draw(self, asked: Cacheable, hit: Deliver, head: RequestHead, client: bytes) -> None:
        """Draw lots whether this hit refreshes what it found, before that goes stale."""
        rules = asked.route.cache
        chance = self._site.chance()
        if refresh.is_early(hit.stored, hit.age, rules.early_refresh, chance):
            fields = forwarding.for_fetch(head.fields, rules)
            self.begin(asked.key, head, fields, asked.route, hit.stored, client)

    def adopt(self, fetch: Fetch, key: bytes, head: RequestHead) -> None:
        """See to a fetch under way that its last client has no more patience for."""
        self.failed(key)
        fetch.join(_Refresh(self, key, head))

    def failing(self, key: bytes) -> bool:
        """Return whether nothing came for *key* just now, so that asking again can wait."""
        if not self._failing:
            return False
        _, until = self._failing.get(key, (0, 0.0))
        return self._site.monotonic() < until

    def failed(self, key: bytes) -> None:
        """Note that nothing usable came for *key*."""
        count, _ = self._failing.pop(key, (0, 0.0))
        if len(self._failing) >= _MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        # Chance spreads what failed together.
        pause = _PAUSES.pause(count + 2, self._site.chance())
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
        self._refreshes.succeeded(self._key)
        fetch.leave(self)

    def fetch_validated(self, stored: StoredResponse) -> None:  # noqa: ARG002
        """Note that it is good again."""
        self._refreshes.succeeded(self._key)

    def fetch_found(self) -> None:
        """Note that another has refreshed it."""
        self._refreshes.succeeded(self._key)

    def fetch_released(self) -> None:
        """Leave it to whoever asks next: what came is another's."""

    def fetch_erred(self, status: int) -> bool:  # noqa: ARG002
        """Leave it for a while."""
        self._refreshes.failed(self._key)
        return True

    def fetch_failed(self, error: GatewayError) -> None:  # noqa: ARG002
        """Leave it for a while."""
        self._refreshes.failed(self._key)

    def pump(self) -> None:
        """Send nothing: nobody is there."""
