"""Putting responses on their shelves: as they complete, as they are validated, as they go."""

from operator import is_not

from gateway.edge.site import Site
from gateway.policy import key as keys
from gateway.policy import storing
from gateway.policy.age import Arrival
from gateway.policy.rules import CacheRules
from gateway.policy.stored import Filed, StoredResponse
from gateway.routing import templates
from gateway.routing.route import Route
from gateway.storage.interface import Shelf
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead


class Keeping:
    """A response that is being stored while it arrives."""

    __slots__ = ("_arrival", "_bytes", "_decision", "_filed", "_limit", "_pieces", "_response",
                 "preview")  # fmt: skip

    def __init__(
        self,
        decision: storing.Store,
        response: ResponseHead,
        arrival: Arrival,
        filed: Filed,
        limit: int,
    ) -> None:
        self._decision = decision
        self._filed = filed
        self._response = response
        self._arrival = arrival
        self._limit = limit
        self._pieces: list[bytes] = []
        self._bytes = 0
        self.preview = storing.keep(decision, response, b"", arrival, filed)
        """What will be stored, still without its body."""

    def add(self, piece: bytes) -> bool:
        """Take some of the body; False when it has become too large to be kept."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        return self._bytes <= self._limit

    def complete(self) -> StoredResponse:
        """Return what arrived, whole."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return storing.keep(self._decision, self._response, body, self._arrival, self._filed)


def consider(
    site: Site,
    request: RequestHead,
    response: ResponseHead,
    body: Framing,
    route: Route,
    arrival: Arrival,
) -> Keeping | None:
    """Return how *response* is kept as it arrives; None when it may not or can't be."""
    decision = storing.decide(request, response, route.cache, arrival, site.chance())
    if not isinstance(decision, storing.Store):
        return None
    limit = site.memory.max_object_bytes
    if isinstance(body, Sized) and body.length > limit:
        return None
    return Keeping(decision, response, arrival, _filed(site, request, route), limit)


def _filed(site: Site, request: RequestHead, route: Route) -> Filed:
    """Return the names by which a response to *request* can be purged."""
    target = keys.normal_target(request.target, route.cache.query)
    return Filed(request.host, target, route.name, labels(site, request, route.groups, route.name))


def labels(
    site: Site, request: RequestHead, groups: tuple[str, ...], route: str
) -> tuple[bytes, ...]:
    """Return the groups that the templates *groups* name for *request*."""
    if not groups:
        return ()
    identity = site.snapshot.identity.identify(request.fields.get(b"cookie"), site.clock())
    return templates.groups(groups, identity, route, request.host, request.target.path)


def keep(site: Site, key: bytes, fresh: StoredResponse) -> None:
    """Put *fresh* on its shelf, in place of the variant that it supersedes.

    What was asked for later stays, however late what was asked for before it comes.
    """
    shelf = site.memory.peek(key)
    others = () if shelf is None else shelf.variants
    for other in others:
        if (
            other.nominated == fresh.nominated
            and other.arrival.request_time > fresh.arrival.request_time
        ):
            return
    _put(site, key, storing.filed(others, fresh))


def promote(site: Site, key: bytes, found: tuple[StoredResponse, ...]) -> None:
    """Put what a lower tier has under *key* into memory, beside what is newer there."""
    shelf = site.memory.peek(key)
    variants = () if shelf is None else shelf.variants
    for each in reversed(found):
        known = next((one for one in variants if one.nominated == each.nominated), None)
        if known is None or known.arrival.response_time < each.arrival.response_time:
            variants = storing.filed(variants, each)
    site.memory.keep(key, variants)


def _put(site: Site, key: bytes, variants: tuple[StoredResponse, ...]) -> None:
    """Put *variants* on the shelf *key*, and into the tiers below."""
    site.memory.keep(key, variants)
    if site.tiers is not None:
        site.tiers.keep(key, variants)


def replace(
    site: Site, key: bytes, stored: StoredResponse, fresh: StoredResponse, rules: CacheRules
) -> bool:
    """Put *fresh*, which the origin made of *stored*, in its place.

    False when it says by now that it may not be kept: then neither stays.
    """
    if storing.forbidden(fresh.status, fresh.fields, fresh.directives, rules) is not None:
        discard(site, key, stored)
        return False
    _put(site, key, storing.filed(_others(site, key, stored), fresh))
    return True


def judge_anew(site: Site, shelf: Shelf, rules: CacheRules) -> Shelf | None:
    """Return the shelf that takes the place of *shelf*; None when nothing of it may be used.

    Since it was last looked at, something was purged or the rules have changed.
    """
    purges = site.purges
    variants: list[StoredResponse] = []
    for each in shelf.variants:
        judged = each if each.rules is rules else storing.judged_anew(each, rules)
        if judged is not None:
            judged = purges.judge(judged)
        if judged is not None:
            variants.append(judged)
    now: Shelf | None = shelf
    if len(variants) != len(shelf.variants) or any(map(is_not, variants, shelf.variants)):
        if variants:
            site.memory.keep(shelf.key, variants)
        else:
            site.memory.remove(shelf.key)
        now = site.memory.peek(shelf.key)
    if now is not None:
        now.checked = purges.serial
    return now


def discard(site: Site, key: bytes, stored: StoredResponse) -> None:
    """Forget *stored*, and leave the other variants beside it."""
    others = _others(site, key, stored)
    if others:
        _put(site, key, others)
        return
    site.memory.remove(key)
    if site.tiers is not None:
        site.tiers.forget(key)


def holds(site: Site, key: bytes, stored: StoredResponse) -> bool:
    """Return whether *stored* still lies under *key*: nothing has replaced or purged it."""
    shelf = site.memory.peek(key)
    return shelf is not None and any(each is stored for each in shelf.variants)


def _others(site: Site, key: bytes, stored: StoredResponse) -> tuple[StoredResponse, ...]:
    shelf = site.memory.peek(key)
    return () if shelf is None else tuple(each for each in shelf.variants if each is not stored)
