"""Walking through long lists: by page number, or by a cursor that survives new rows.

A cursor names the last row that was seen, so rows that arrive meanwhile neither repeat
nor hide others.  It is opaque to clients: only this module reads and writes it.  Whoever
makes one up gains nothing, since a query is always bound to its organization.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from upstream.errors import bad_input
from upstream.pool import Pool
from upstream.queries import Listing

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
LAST_PAGE = 100_000

Instant = Annotated[datetime, Meta(tz=True)]
"""RFC 3339 with a zone."""
Search = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
"""A part of a text, whatever its case."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PageRequest(
    msgspec.Struct, kw_only=True, frozen=True, rename="camel", forbid_unknown_fields=True
):
    """Which part of a list is wanted: *page*, or what follows *cursor*, but not both."""

    page: Annotated[int, Meta(ge=1, le=LAST_PAGE)] | None = None
    limit: Annotated[int, Meta(ge=1, le=LARGEST_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Pagination(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """Where in the list an answer lies."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_next: bool
    has_previous: bool
    next_cursor: str | None


class Page(msgspec.Struct, frozen=True):
    """One part of a list, as it is sent."""

    data: list[dict[str, Any]]
    pagination: Pagination


class _Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a cursor says: the row before the page, and the number the page would have."""

    listing: str
    page: Annotated[int, Meta(ge=2, le=2**31)]
    created_us: Annotated[int, Meta(ge=-(2**55), le=2**57)]
    row_id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters that a request asked for, by the names of its Listing."""

    names: tuple[str, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, listing: Listing, wanted: dict[str, Any]) -> "Filters":
        """Keep what is set: None and False mean that a filter wasn't asked for."""
        chosen = {
            name: value
            for name, value in wanted.items()
            if value is not None and value is not False
        }
        values = tuple(value for name, value in chosen.items() if listing.takes_value(name))
        return cls(tuple(chosen), values)


def contains(part: str | None) -> str | None:
    """Return the pattern of ILIKE for texts that contain *part*; None for None."""
    if part is None:
        return None
    literal = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


async def fetch_page(
    pool: Pool, listing: Listing, scope: int, filters: Filters, wanted: PageRequest
) -> Page:
    """Return the part of *listing* that *wanted* names, as seen by *scope*."""
    total = await pool.fetchval(listing.total(filters.names), scope, *filters.values)
    if wanted.cursor is None:
        number = wanted.page or 1
        rows = await pool.fetch(
            listing.page(filters.names, after_cursor=False),
            scope,
            *filters.values,
            wanted.limit + 1,
            (number - 1) * wanted.limit,
        )
    else:
        if wanted.page is not None:
            raise bad_input("send either page or cursor, not both", "cursor")
        position = _read_cursor(wanted.cursor, listing)
        number = position.page
        rows = await pool.fetch(
            listing.page(filters.names, after_cursor=True),
            scope,
            *filters.values,
            _EPOCH + position.created_us * _MICROSECOND,
            position.row_id,
            wanted.limit + 1,
        )
    # One row more than asked for tells whether there is a next page.
    has_next = len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    return Page(
        data=[_public(dict(row)) for row in rows],
        pagination=Pagination(
            page=number,
            limit=wanted.limit,
            total=total,
            total_pages=-(-total // wanted.limit),
            has_next=has_next,
            has_previous=number > 1,
            next_cursor=_write_cursor(listing, number + 1, rows[-1]) if has_next else None,
        ),
    )


def _public(row: dict[str, Any]) -> dict[str, Any]:
    del row["cursor_at"], row["cursor_id"]
    return row


def _write_cursor(listing: Listing, page: int, row: Any) -> str:
    created_us = (row["cursor_at"] - _EPOCH) // _MICROSECOND
    position = _Position(listing.name, page, created_us, row["cursor_id"])
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")


def _read_cursor(text: str, listing: Listing) -> _Position:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        position = msgspec.msgpack.decode(raw, type=_Position)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        position = None
    if position is None or position.listing != listing.name:
        raise bad_input("not a cursor of this list: take nextCursor from its last answer", "cursor")
    return position
