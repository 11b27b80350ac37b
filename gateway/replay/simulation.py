"""One set of rules and the requests of a log: every decision by the functions of the data plane.

Time is what the log says. An answer arrives as long after its request as the origin takes, and
whoever asks meanwhile waits for it, as at the gateway. Bodies are lengths, so that a store of
gigabytes needs none.
"""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from gateway.counters import Counters
from gateway.edge import asking, shelving
from gateway.edge.asked import Asking, Bypassing, Cacheable, Settled
from gateway.edge.invalidating import invalidate
from gateway.edge.limiting import LIMITED
from gateway.edge.site import Site, needs_identity
from gateway.edge.snapshot import Snapshot
from gateway.errors import RequestRefused
from gateway.policy import refresh, validation
from gateway.policy.age import arrived
from gateway.policy.outcome import Word
from gateway.policy.reuse import Deliver, DeliverStale, Fetch, Forward, Refuse, Validate
from gateway.policy.stored import StoredResponse
from gateway.replay.origins import Answer
from gateway.routing.identity import ANONYMOUS, Identity, IdentityVerifier, partition
from gateway.routing.route import Route
from gateway.wire.fields import Fields
from gateway.wire.framing import EMPTY, Sized
from gateway.wire.message import RequestHead, ResponseHead

HITS = frozenset({Word.HIT, Word.STALE, Word.UPDATING, Word.REVALIDATED})
"""Words of answers that were made of what was stored."""
REFUSED = "refused"
_HIT: str = Word.HIT.value
_SIDE_BY_SIDE_SECONDS = 10.0
_PASSING_SECONDS = 1.0
_SAMPLES = 5
_SAMPLED_EVERY = 4096


class _Body:
    """A body that is its length."""

    __slots__ = ("_length",)

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


class LoggedIdentities(IdentityVerifier):
    """Takes for proven what a log says was proven."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._known: dict[bytes, Identity] = {}
        self._cookies: dict[tuple[str, str], bytes] = {}

    def identify(self, cookie: bytes | None, now: float) -> Identity:  # noqa: ARG002
        """Return the identity that *cookie*, as `cookie_of` makes it, stands for."""
        return ANONYMOUS if cookie is None else self._known.get(whose(cookie), ANONYMOUS)

    def cookie_of(self, user: str, org: str) -> bytes:
        """Return a Cookie that `identify` knows."""
        cookie = self._cookies.get((user, org))
        if cookie is None:
            cookie = self._cookies[user, org] = b"logged=%d" % len(self._known)
            self._known[cookie] = Identity(
                user=user.encode() or None, org=org.encode() or None, expires=float("inf")
            )
        return cookie


def whose(cookie: bytes | None) -> bytes:
    """Return what in *cookie* says who asks; empty for nobody."""
    first = (cookie or b"").partition(b";")[0]
    return first if first.startswith(b"logged=") else b""


@dataclass(slots=True)
class RouteResult:
    """What became of the requests of one route."""

    words: Counter[str] = field(default_factory=Counter)
    origin: int = 0
    """Requests to the origin, refreshes included."""

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.words.values())

    @property
    def hits(self) -> int:
        """Those answered with what was stored."""
        return sum(self.words[word] for word in HITS)

    @property
    def stale(self) -> int:
        """Those answered with what was no longer fresh."""
        return self.words[Word.STALE] + self.words[Word.UPDATING]


@dataclass(slots=True)
class Crossing:
    """An answer fetched for one identity and delivered to another."""

    route: str
    target: str
    fetched_for: str
    delivered_to: str


@dataclass(slots=True)
class Result:
    """What became of all requests."""

    routes: dict[str, RouteResult] = field(default_factory=lambda: defaultdict(RouteResult))
    collapsed: int = 0
    """Requests that waited for another's answer."""
    limited: int = 0
    """Requests beyond a rate limit."""
    bypasses: Counter[str] = field(default_factory=Counter)
    """Requests that didn't ask the cache, by the reason in Cache-Status."""
    crossings: int = 0
    crossing_samples: list[Crossing] = field(default_factory=list)
    most_bytes: int = 0
    """The most that the store has held."""

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(route.requests for route in self.routes.values())

    @property
    def hit_rate(self) -> float:
        """The share of all requests that were answered with what was stored."""
        return sum(each.hits for each in self.routes.values()) / max(1, self.requests)

    @property
    def origin(self) -> int:
        """Requests to the origin."""
        return sum(each.origin for each in self.routes.values())

    @property
    def stale(self) -> int:
        """Answers that were no longer fresh."""
        return sum(each.stale for each in self.routes.values())


@dataclass(slots=True)
class Prepared:
    """A request as one set of rules sees it, as far as that stays the same."""

    head: RequestHead
    route: Route
    by_identity: bool
    """Whether who asks makes a difference, or only the URL does."""
    key: bytes | None = None
    """The cache key; None while it isn't known, and where each request is looked at anew."""


Apart = Callable[[bytes, bytes], bool]
"""Whether two identities, as cookies, are kept apart in what a request asks for."""


def _never(one: bytes, other: bytes) -> bool:  # noqa: ARG001
    return False


class Simulation:
    """A gateway's decisions on one request after the other."""

    def __init__(self, snapshot: Snapshot, identities: LoggedIdentities) -> None:
        self.now = 0.0
        self.result = Result()
        self.site = Site(
            replace(snapshot, identity=identities), Counters(), None, clock=lambda: self.now
        )
        self.site.monotonic = lambda: self.now
        # One log gives one answer.
        self.site.chance = random.Random(1).random  # noqa: S311 - no secret
        self._identities = identities
        self._flights: dict[bytes, tuple[float, RequestHead]] = {}
        """Keys that are being fetched, and until when."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._apart: dict[bytes, float] = {}
        """Keys whose answers couldn't be shared, and until when nobody waits for another's."""
        self._served = 0
        self._cookie = b""
        self._other: Apart = _never

    def prepare(self, head: RequestHead) -> Prepared:
        """Return *head* as these rules see it; raises RequestRefused."""
        route = self.site.batches.route(head.method, head.target, head)
        rules = route.cache
        by_identity = (
            needs_identity(rules.scope)
            or bool(rules.key_cookies)
            or self.site.snapshot.routes.looks_at_cookies
            or bool(route.rate_limits)
            or head.method not in (b"GET", b"HEAD")
        )
        return Prepared(head, route, by_identity)

    def keeps_apart(self, prepared: Prepared, one: bytes, other: bytes) -> bool:
        """Return whether these rules answer the two clients from different shelves.

        They are named by their cookies.
        """
        rules = prepared.route.cache
        if not rules.enabled:
            return True
        if not needs_identity(rules.scope):
            return False
        both = [
            partition(rules.scope, self._identities.identify(cookie, self.now))
            for cookie in (one, other)
        ]
        return both[0] != both[1] or None in both

    def play(
        self,
        at: float,
        prepared: Prepared,
        cookie: bytes,
        address: bytes,
        answer: Answer,
        apart: Apart,
    ) -> None:
        """Decide on a request that came at *at* from whoever *cookie* names.

        *apart* is what the other rules keep apart.
        """
        self.now = at
        while self._due and self._due[0][0] <= at:
            heapq.heappop(self._due)[2]()
            self.now = at
        self._served += 1
        if self._served % _SAMPLED_EVERY == 0:
            self.result.most_bytes = max(self.result.most_bytes, self.site.memory.bytes)
        self._cookie = cookie
        self._other = apart
        head, route = prepared.head, prepared.route
        if prepared.key is not None:
            key = prepared.key
            shelf, verdict = asking.find(self.site, key, route.cache, head, at)
            result = self.result.routes[route.name]
            if shelf is not None and type(verdict) is Deliver and not route.cache.early_refresh:
                shelf.visited = True
                if verdict.stored.reason != cookie:
                    self._delivered_to_another(route, head, verdict.stored)
                result.words[_HIT] += 1
                return
            asked: Asking = Cacheable(route, key, shelf, verdict, self.now, by_cookie=False)
        else:
            try:
                asked = asking.ask(self.site, head, address, EMPTY)
            except RequestRefused:
                self.result.routes[REFUSED].words[REFUSED] += 1
                return
            result = self.result.routes[asked.route.name]
            if isinstance(asked, Cacheable) and not asked.route.guarded:
                prepared.key = asked.key
        result.words[self._answered(asked, head, answer, result)] += 1

    def finish(self) -> None:
        """Let everything arrive that is under way."""
        for _, _, arrive in sorted(self._due, key=lambda due: due[:2]):
            arrive()
        self._due.clear()
        self.result.most_bytes = max(self.result.most_bytes, self.site.memory.bytes)

    def _answered(
        self,
        asked: Asking,
        head: RequestHead,
        answer: Answer,
        route: RouteResult,
    ) -> str:
        """Do what the request leads to, and return the word of its answer."""
        if isinstance(asked, Settled):
            self.result.limited += asked.detail == LIMITED
            return Word.BYPASS
        if isinstance(asked, Bypassing):
            self.result.bypasses[asked.why.value] += 1
            route.origin += 1
            if head.method not in (b"GET", b"HEAD"):
                invalidate(self.site, head, answer.head, asked.route.name, self._outdate)
            return Word.BYPASS
        match asked.verdict:
            case Deliver() as verdict:
                self._delivered(asked, head, verdict.stored)
                self._draw(asked, head, verdict, answer, route)
                return Word.HIT
            case DeliverStale() as verdict:
                self._delivered(asked, head, verdict.stored)
                if not verdict.refresh:
                    return Word.STALE
                if self._in_flight(asked.key):
                    return Word.UPDATING
                self._fetch(asked, head, answer, route, verdict.stored)
                return Word.STALE
            case Refuse():
                return Word.PASS
            case Validate() as verdict:
                return self._join(asked, head, answer, route, verdict.stored)
            case Fetch():
                return self._join(asked, head, answer, route, None)
            case Forward():
                route.origin += 1
                return Word.PASS

    def _delivered(self, asked: Cacheable, head: RequestHead, stored: StoredResponse) -> None:
        assert asked.shelf is not None
        asked.shelf.visited = True
        if stored.reason != self._cookie:
            self._delivered_to_another(asked.route, head, stored)

    def _delivered_to_another(
        self, route: Route, head: RequestHead, stored: StoredResponse
    ) -> None:
        """Note that *stored* went out to somebody else than it was fetched for."""
        # The reason phrase plays no part; here it names whom the answer was fetched for.
        if not self._other(stored.reason, self._cookie):
            return
        self.result.crossings += 1
        if len(self.result.crossing_samples) < _SAMPLES:
            self.result.crossing_samples.append(
                Crossing(
                    route.name,
                    head.target.encode().decode("latin-1"),
                    self._shown(stored.reason),
                    self._shown(self._cookie),
                )
            )

    def _shown(self, cookie: bytes) -> str:
        who = self._identities.identify(cookie or None, self.now)
        told = [
            f"{what} {value.decode()}"
            for what, value in (("org", who.org), ("user", who.user))
            if value is not None
        ]
        return ", ".join(told) or "nobody known"

    def _draw(
        self,
        asked: Cacheable,
        head: RequestHead,
        hit: Deliver,
        answer: Answer,
        route: RouteResult,
    ) -> None:
        beta = asked.route.cache.early_refresh
        if (
            beta
            and refresh.is_early(hit.stored, hit.age, beta, self.site.chance())
            and not self._in_flight(asked.key)
        ):
            self._fetch(asked, head, answer, route, hit.stored)

    def _in_flight(self, key: bytes) -> bool:
        flight = self._flights.get(key)
        return flight is not None and flight[0] > self.now

    def _outdate(self, key: bytes) -> None:
        self._flights.pop(key, None)

    def _join(
        self,
        asked: Cacheable,
        head: RequestHead,
        answer: Answer,
        route: RouteResult,
        stored: StoredResponse | None,
    ) -> str:
        """Wait for the fetch of the key that is under way, or begin one."""
        apart = self._apart.get(asked.key, 0.0) > self.now
        if head.method != b"GET" or apart:
            route.origin += 1
            if head.method == b"GET" and self._arrives(asked.route, head, answer) is not None:
                # It can be shared after all, as the gateway notices when it passes one on.
                self._apart.pop(asked.key, None)
            return Word.PASS
        if self._in_flight(asked.key):
            self.result.collapsed += 1
            return Word.MISS if stored is None else Word.EXPIRED
        return self._fetch(asked, head, answer, route, stored)

    def _fetch(
        self,
        asked: Cacheable,
        head: RequestHead,
        answer: Answer,
        route: RouteResult,
        stored: StoredResponse | None,
    ) -> str:
        """Ask the origin; what it says arrives when it has taken its time."""
        route.origin += 1
        key = asked.key
        if head.method != b"GET":
            head = replace(head, method=b"GET")
        if stored is not None and answer.validates and _unchanged(stored, answer.head):
            self._later(key, head, answer, lambda: self._freshen(asked, head, answer, stored))
            return Word.REVALIDATED
        fresh = self._arrives(asked.route, head, answer)
        if fresh is None:
            passing = answer.head.status >= 500 or answer.head.status == 429
            if stored is None or answer.head.status < 500:
                pause = _PASSING_SECONDS if passing else _SIDE_BY_SIDE_SECONDS
                self._apart[key] = self.now + pause
                if stored is not None and not passing:
                    shelving.discard(self.site, key, stored)
            return Word.PASS
        self._later(key, head, answer, lambda: shelving.keep(self.site, key, fresh))
        return Word.MISS if stored is None else Word.EXPIRED

    def _later(
        self, key: bytes, head: RequestHead, answer: Answer, arrive: Callable[[], None]
    ) -> None:
        until = self.now + answer.seconds
        flight = self._flights[key] = (until, head)

        def land() -> None:
            # What was made wrong on its way isn't kept.
            if self._flights.get(key) is flight:
                del self._flights[key]
                self.now = until
                arrive()

        heapq.heappush(self._due, (until, self._served, land))

    def _arrives(self, route: Route, head: RequestHead, answer: Answer) -> StoredResponse | None:
        """Return what would be stored of *answer*; None when nothing would."""
        arrival = arrived(answer.head.fields, self.now, self.now + answer.seconds)
        said = ResponseHead(answer.head.status, self._cookie, answer.head.fields)
        keeping = shelving.consider(self.site, head, said, Sized(answer.bytes), route, arrival)
        if keeping is None:
            return None
        return replace(keeping.preview, body=cast("bytes", _Body(answer.bytes)))

    def _freshen(
        self, asked: Cacheable, head: RequestHead, answer: Answer, stored: StoredResponse
    ) -> None:
        if not shelving.holds(self.site, asked.key, stored):
            return
        rules = asked.route.cache
        arrival = arrived(answer.head.fields, self.now - answer.seconds, self.now)
        said = ResponseHead(304, b"", answer.head.fields)
        fresh = validation.freshen(stored, said, rules, arrival, head.fields, self.site.chance())
        shelving.replace(self.site, asked.key, stored, fresh, rules)


def _unchanged(stored: StoredResponse, head: ResponseHead) -> bool:
    """Return whether the origin would say 304 to one who has *stored*."""
    if head.status != stored.status:
        return False
    etag = stored.fields.get(b"etag")
    if etag is not None:
        return head.fields.get(b"etag") == etag
    changed = stored.fields.get(b"last-modified")
    return changed is not None and head.fields.get(b"last-modified") == changed


def with_variant(fields: list[tuple[bytes, bytes]], names: set[bytes], variant: str) -> Fields:
    """Return *fields* and those of *names* that told variants apart, each worth *variant*."""
    if variant:
        taken = {name for name, _ in fields}
        fields = fields + [(name, variant.encode()) for name in sorted(names - taken)]
    return Fields.of(*fields)
