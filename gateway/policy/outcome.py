"""How an answer came about, in one word and in the words of RFC 9211 (Cache-Status).

The same word is the X-Cache field, the metric's label and the field of the access log.
"""

import re
from enum import StrEnum
from typing import Final

from gateway.policy.reuse import Forwarded


class Word(StrEnum):
    """What became of a request, as X-Cache prints it."""

    HIT = "HIT"
    """Answered with a fresh stored response."""
    MISS = "MISS"
    """Fetched: it wasn't there, and may be stored."""
    STALE = "STALE"
    """Answered with a stale stored response, as somebody allowed."""
    UPDATING = "UPDATING"
    """As STALE, while another request was already fetching a new one."""
    REVALIDATED = "REVALIDATED"
    """Answered with a stored response after the origin said 304."""
    EXPIRED = "EXPIRED"
    """It was stored but stale, and a full new response came."""
    BYPASS = "BYPASS"
    """The cache wasn't asked: it is off here, or the method or identity rules it out."""
    PASS = "PASS"  # noqa: S105 - a word of the trade, no password
    """The cache was asked, and this answer may not be stored."""


_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")


def cache_status(
    *,
    forwarded: Forwarded | None = None,
    forwarded_status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: float | None = None,
    detail: str | None = None,
    generated: bool = False,
) -> bytes:
    """Return our member of Cache-Status.

    Without *forwarded* it is a hit. *forwarded_status* is what the origin answered where the
    client got something else too, such as 304; *stored* says that what came was kept;
    *collapsed*, that another's fetch brought it. *ttl* is the remaining freshness in seconds,
    negative once stale. *generated* is for answers of our own, for which nothing was looked up.
    The cache key isn't shown: it names whom an answer is kept for.
    """
    if generated:
        text = "gateway"
    elif forwarded is None:
        text = "gateway; hit"
    else:
        text = f"gateway; fwd={forwarded.value}"
        if forwarded_status is not None:
            text += f"; fwd-status={forwarded_status}"
        if stored:
            text += "; stored"
        if collapsed:
            text += "; collapsed"
    if ttl is not None:
        text += f"; ttl={int(ttl)}"
    if detail is not None:
        text += f"; detail={_item(detail)}"
    return text.encode("latin-1")


def _item(detail: str) -> str:
    """Return *detail* as a Token where it is one, else as a String (RFC 9651 section 3.3)."""
    if _TOKEN.fullmatch(detail):
        return detail
    visible = "".join(c if " " <= c <= "~" else "?" for c in detail)
    escaped = visible.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
