"""The last quarter of an hour, second by second: what the console draws.

A sample is the difference between two readings, a second apart. What a worker that was killed had
counted is in the sum for good, so a difference is never negative.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from gateway.control.totals import nothing
from gateway.counters import LATENCY_BOUNDS, Reading
from gateway.policy.outcome import Word

SECONDS = 900
_HITS = frozenset({Word.HIT, Word.STALE, Word.UPDATING, Word.REVALIDATED})
_MILLISECONDS = 1000
_SERVER_ERROR = 5


class Sample(msgspec.Struct, frozen=True):
    """One second."""

    at: float
    """Epoch seconds."""
    requests: int
    hits: int
    """Answered with what was stored."""
    errors: int
    """Answered with a 5xx."""
    limited: int
    body_bytes: int
    origin_requests: int
    routes: dict[str, tuple[int, int]]
    """By route: requests and hits; routes that nobody asked for are left out."""
    p50: float | None
    """Milliseconds in which half of the answers began; None where nobody asked. What was stored
    counts as under a millisecond, the rest by how fast origins answered."""
    p95: float | None
    p99: float | None
    store_bytes: int
    store_limit_bytes: int
    store_objects: int
    evictions: int
    connections: int
    exchanges: int


class History:
    """The samples of one gateway."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SECONDS)
        self._last = nothing()
        self._next: asyncio.Future[Sample] | None = None

    def add(self, reading: Reading, now: float) -> None:
        """Take the *reading* of this second, which is *now* in epoch seconds."""
        last, self._last = self._last, reading
        sample = _between(last, reading, now)
        self.samples.append(sample)
        if self._next is not None and not self._next.done():
            self._next.set_result(sample)
        self._next = None

    async def next(self) -> Sample:
        """Return the next sample, when there is one."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)


def _between(last: Reading, reading: Reading, now: float) -> Sample:
    before = Counter(
        {(each.route, each.word, each.status_class): each.requests for each in last.requests}
    )
    bytes_before = sum(each.body_bytes for each in last.requests)
    requests = hits = errors = 0
    routes: dict[str, tuple[int, int]] = {}
    for each in reading.requests:
        count = each.requests - before[each.route, each.word, each.status_class]
        if count <= 0:
            continue
        hit = count if each.word in _HITS else 0
        requests += count
        hits += hit
        errors += count if each.status_class == _SERVER_ERROR else 0
        known = routes.get(each.route, (0, 0))
        routes[each.route] = (known[0] + count, known[1] + hit)
    buckets = [0] * (len(LATENCY_BOUNDS) + 1)
    for origin, latencies in reading.origin_latency.items():
        earlier = last.origin_latency.get(origin)
        for place, count in enumerate(latencies.buckets):
            buckets[place] += count - (0 if earlier is None else earlier.buckets[place])
    from_origin = sum(buckets)
    buckets[0] += hits
    return Sample(
        at=now,
        requests=requests,
        hits=hits,
        errors=errors,
        limited=sum(reading.limited.values()) - sum(last.limited.values()),
        body_bytes=sum(each.body_bytes for each in reading.requests) - bytes_before,
        origin_requests=from_origin,
        routes=routes,
        p50=_milliseconds(buckets, 0.50),
        p95=_milliseconds(buckets, 0.95),
        p99=_milliseconds(buckets, 0.99),
        store_bytes=reading.store_bytes,
        store_limit_bytes=reading.store_limit_bytes,
        store_objects=reading.store_objects,
        evictions=max(0, reading.store_evictions - last.store_evictions),
        connections=reading.connections_open,
        exchanges=reading.exchanges_running,
    )


def _milliseconds(buckets: Sequence[int], share: float) -> float | None:
    seconds = quantile(buckets, share)
    return None if seconds is None else round(seconds * _MILLISECONDS, 3)


def quantile(buckets: Sequence[int], share: float) -> float | None:
    """Return the seconds below which *share* of what *buckets* count lies, as Prometheus does.

    The buckets are those of `LATENCY_BOUNDS`. None when they count nothing; what is beyond the
    last bound counts as that bound.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted = share * total
    below = 0
    for place, count in enumerate(buckets):
        if below + count >= wanted and count:
            if place == len(LATENCY_BOUNDS):
                break
            low = LATENCY_BOUNDS[place - 1] if place else 0.0
            return low + (LATENCY_BOUNDS[place] - low) * (wanted - below) / count
        below += count
    return LATENCY_BOUNDS[-1]
