"""Every named query of the hub, for those who look into the database."""

from itertools import combinations
from types import ModuleType

from upstream import (
    queries,
    queries_of_monitoring,
    queries_of_pages,
    queries_of_people,
    queries_of_writes,
)
from upstream.queries import Listing, Query

MODULES: tuple[ModuleType, ...] = (
    queries,
    queries_of_monitoring,
    queries_of_pages,
    queries_of_people,
    queries_of_writes,
)
_MOST_FILTERS = 3
"""Filters that clients combine, in pages that are listed here."""


def named_queries() -> dict[str, Query]:
    """Return the queries by name; of a list, each page with up to three filters."""
    found: dict[str, Query] = {}
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, Query):
                found[value.name] = value
            elif isinstance(value, Listing):
                for query in _of(value):
                    found[query.name] = query
    return found


def listings() -> dict[str, Listing]:
    """Return the lists by name."""
    return {
        value.name: value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, Listing)
    }


def _of(listing: Listing) -> list[Query]:
    found = []
    for count in range(_MOST_FILTERS + 1):
        for filters in combinations(listing.filters, count):
            found += [
                listing.page(filters, after_cursor=False),
                listing.page(filters, after_cursor=True),
                listing.total(filters),
            ]
    return found
