"""Explaining a live answer to whoever may know: in a field of the answer itself.

A request that carries ``Gateway-Explain`` with a good signature gets ``Gateway-Explanation``, a
JSON object, beside its answer, which is what everybody else would have got. The signature
says that its maker knows the admin token, which itself never crosses the public port; it is
for one method, host and target, and for five minutes. The field goes no further than here, signed
or not: no origin sees it, and nothing that is stored depends on it.
"""

import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from gateway.edge.asked import Asking, Bypassing, Cacheable, Settled
from gateway.edge.insight import why_uncached
from gateway.policy import key as keys
from gateway.policy import storing
from gateway.policy.reuse import Deliver, DeliverStale, Fetch, Forward, Refuse, Validate
from gateway.policy.stored import StoredResponse
from gateway.wire.message import RequestHead, ResponseHead

ASKS: Final = b"gateway-explain"
_SECONDS: Final = 300.0
_LONGEST: Final = 200
_WORDS: Final = {
    Deliver: "fresh",
    DeliverStale: "stale",
    Validate: "to be validated",
    Fetch: "to be fetched",
    Forward: "to be passed on",
    Refuse: "refused",
}


def signature(secret: bytes, at: int, method: str, host: str, target: str) -> str:
    """Return the value of ``Gateway-Explain`` for one request, made at *at* (epoch seconds)."""
    signed = f"gateway-explain\n{at}\n{method}\n{host.lower()}\n{target}".encode()
    return f"{at}.{hmac.new(secret, signed, sha256).hexdigest()}"


class LiveExplainer:
    """Knows who may ask, and what to tell."""

    def __init__(self, secret: bytes | None, clock: Callable[[], float]) -> None:
        """*secret* is the admin token; with None nobody may ask."""
        self._secret = secret
        self._clock = clock

    def wanted(self, head: RequestHead) -> bool:
        """Return whether *head* may have an explanation; takes the field that asks out of it."""
        asked = head.fields.get(ASKS)
        if asked is None:
            return False
        head.fields = head.fields.without({ASKS})
        if self._secret is None or len(asked) > _LONGEST or not asked.isascii():
            return False
        at, _, _ = asked.decode("ascii").partition(".")
        if not at.isdigit() or abs(self._clock() - int(at)) > _SECONDS:
            return False
        good = signature(
            self._secret,
            int(at),
            head.method.decode("latin-1"),
            head.host.decode("latin-1"),
            head.target.encode().decode("latin-1"),
        )
        return hmac.compare_digest(good.encode("ascii"), asked)


def explanation(
    head: RequestHead, asked: Asking, answer: ResponseHead | None, cache_status: bytes
) -> bytes:
    """Return the field line that explains the answer to *head*, which came to *asked*.

    *answer* is what the origin said; None when it wasn't asked.
    """
    route = asked.route
    told: dict[str, object] = {
        "route": route.name,
        "line": route.line or None,
        "origin": route.origin,
        "cache": route.cache.enabled,
        "cache_status": cache_status.decode("latin-1"),
    }
    if isinstance(asked, Settled):
        told["answered_by"] = asked.detail
    elif isinstance(asked, Bypassing):
        told["bypass"] = why_uncached(head, asked, answer)
    else:
        told |= _of_cacheable(head, asked)
    if answer is not None:
        told["origin_status"] = answer.status
        why = why_uncached(head, asked, answer)
        if why is not None:
            told["not_stored"] = why
            told["section"] = _SECTIONS.get(why)
    text = json.dumps(told, separators=(",", ":"))
    return b"Gateway-Explanation: %b\r\n" % text.encode("ascii")


_SECTIONS: Final = {why.value: why.section for why in storing.Unstorable}


def _of_cacheable(head: RequestHead, asked: Cacheable) -> dict[str, object]:
    rules = asked.route.cache
    verdict = asked.verdict
    told: dict[str, object] = {
        "scope": rules.scope.value,
        "key": {
            "host": head.host.decode("latin-1"),
            "target": keys.normal_target(head.target, rules.query).decode("latin-1"),
            # Names alone: what they are worth may be somebody's.
            "headers": [name.decode("latin-1") for name in rules.key_headers],
            "cookies": [name.decode("latin-1") for name in rules.key_cookies],
        },
        "found": _WORDS[type(verdict)],
        "variants": 0 if asked.shelf is None else len(asked.shelf.variants),
    }
    if not isinstance(verdict, Deliver | DeliverStale | Refuse):
        told["why"] = verdict.why.value
    stored = getattr(verdict, "stored", None)
    if isinstance(stored, StoredResponse):
        told["stored"] = {
            "status": stored.status,
            "bytes": len(stored.body),
            "lifetime": round(stored.lifetime, 3),
            "invalid": stored.invalid,
            "vary": [name.decode("latin-1") for name, _ in stored.nominated],
            "groups": [
                group.decode("utf-8", "replace")
                for group in dict.fromkeys((*stored.groups, *stored.filed.labels))
            ],
        }
    return told
