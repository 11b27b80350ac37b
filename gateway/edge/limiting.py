"""Who has asked too often: the limits of a route against the buckets of whoever asks."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from gateway.edge.asked import Limited, Settled
from gateway.policy import rate
from gateway.policy.rate import By, RateLimit
from gateway.routing.answers import Respond
from gateway.routing.identity import Identity
from gateway.routing.route import Route
from gateway.storage.quotas import Quotas
from gateway.wire.fields import Fields, line
from gateway.wire.message import RequestHead

LIMITED = "limited"
"""The detail of a request that was one too many."""
_IPV6_PREFIX_BYTES = 8
"""A customer has a whole /64, so counting single addresses would count nobody."""
_ADDRESSES_KEPT = 16_384
_GATHERED_SECONDS = 0.01
_MOST_NOTED = 10_000
_WHOSE = {
    By.ADDRESS: "your address",
    By.USER: "you",
    By.ORG: "your organisation",
    By.EVERYBODY: "all together",
}


class Limiter:
    """Holds one worker's requests to the limits of their routes."""

    def __init__(self) -> None:
        self.quotas = Quotas()
        self._tell: Callable[[list[tuple[str, bytes, int]]], None] | None = None
        self._spent: dict[tuple[str, bytes], int] = {}
        self._networks: dict[bytes, bytes] = {}

    def share(self, descriptor: int) -> None:
        """Count together with the other workers, in the table behind *descriptor*."""
        self.quotas.close()
        self.quotas = Quotas(descriptor)

    def report(self, tell: Callable[[list[tuple[str, bytes, int]]], None]) -> None:
        """Call *tell* with what passed, soon after, for replicas to count together."""
        self._tell = tell

    def _note(self, limit: RateLimit, subject: bytes) -> None:
        if not self._spent:
            asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self._report)
        at = (limit.name, subject)
        if at in self._spent or len(self._spent) < _MOST_NOTED:
            self._spent[at] = self._spent.get(at, 0) + 1

    def _report(self) -> None:
        spent, self._spent = self._spent, {}
        assert self._tell is not None
        self._tell([(name, subject, count) for (name, subject), count in spent.items()])

    def limited(self, route: Route, head: RequestHead, identity: Identity) -> Limited:
        """Return by whom requests with *head* are counted."""
        return Limited(route, tuple(_subject(limit, head, identity) for limit in route.rate_limits))

    def spend(self, limited: Limited, address: bytes, now: float) -> bytes | Settled:
        """Count one request of the client at *address*; *now* is monotonic seconds.

        Returns the field lines that its answer has to carry, or the answer when it was one
        too many. Then nothing is counted.
        """
        spent: list[tuple[RateLimit, float]] = []
        marks: list[int] = []
        quotas = self.quotas
        for limit, subject in zip(limited.route.rate_limits, limited.subjects, strict=True):
            mark = quotas.mark(limit, self._network(address) if subject is None else subject)
            passed, full_at = quotas.spend(mark, now, limit)
            spent.append((limit, full_at))
            if not passed:
                for (earlier, _), taken in zip(spent, marks, strict=False):
                    quotas.give_back(taken, earlier)
                return _refusal(limited.route, spent, limit, subject, now)
            marks.append(mark)
        if self._tell is not None:
            for limit, subject in zip(limited.route.rate_limits, limited.subjects, strict=True):
                if limit.shared:
                    self._note(limit, self._network(address) if subject is None else subject)
        return rate.told(spent, now)

    def _network(self, address: bytes) -> bytes:
        """Return what of *address* says who asks, in a form that no other subject has."""
        known = self._networks.get(address)
        if known is None:
            known = b"address:" + customer(address)
            if len(self._networks) >= _ADDRESSES_KEPT:
                self._networks.clear()
            self._networks[address] = known
        return known


def customer(address: bytes) -> bytes:
    """Return the part of *address* that one customer has: for IPv6 its /64."""
    try:
        parsed = ip_address(address.decode("ascii").partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped.packed
        return parsed.packed[:_IPV6_PREFIX_BYTES]
    return parsed.packed


def _subject(limit: RateLimit, head: RequestHead, identity: Identity) -> bytes | None:
    """Return who asks; None is the address, also of those who don't prove to be somebody."""
    match limit.by:
        case By.ADDRESS:
            return None
        case By.USER:
            return None if identity.user is None else b"user:" + identity.user
        case By.ORG:
            return None if identity.org is None else b"org:" + identity.org
        case By.HEADER:
            value = head.fields.get(limit.header)
            return None if value is None else b"header:" + value
        case By.EVERYBODY:
            return b"everybody"


def _refusal(
    route: Route,
    spent: list[tuple[RateLimit, float]],
    limit: RateLimit,
    subject: bytes | None,
    now: float,
) -> Settled:
    """Return the answer (RFC 6585 section 4) to a request beyond *limit*."""
    seconds = rate.wait(spent[-1][1], now, limit)
    whose = _WHOSE.get(limit.by if subject is not None else By.ADDRESS, "the same value of ")
    if subject is not None and limit.by is By.HEADER:
        whose += limit.header.decode("ascii")
    each = f"{limit.per:g} seconds" if limit.per != 1 else "second"
    text = (
        f"{HTTPStatus.TOO_MANY_REQUESTS:d} {HTTPStatus.TOO_MANY_REQUESTS.phrase}: at most "
        f"{limit.requests} in {each} from {whose}; come again in {max(0.001, seconds):.3g} s\n"
    )
    fields = Fields(
        [
            line(b"Content-Type", b"text/plain; charset=utf-8"),
            line(b"Cache-Control", b"no-store"),
            rate.retry_after(seconds),
        ]
    )
    respond = Respond(HTTPStatus.TOO_MANY_REQUESTS, text.encode(), fields)
    return Settled(route, respond, LIMITED, rate.told(spent, now))
