"""The forms of a stored response: which stay beside a new one, and which could be smaller."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.policy import dictionaries, images
from gateway.policy.rules import CacheRules
from gateway.policy.stored import Form, StoredResponse
from gateway.storage.interface import Shelf

_MOST_BY_DICTIONARY = 4
"""Forms of one response that dictionaries made: so many releases are followed at once."""

_LARGEST_AGAIN = 512 * 1024
"""Bytes of a body above which it stays as it is: at the best level one takes a second or two."""


Kept = Callable[[bytes, Sequence[StoredResponse]], None]
"""Is told of what lies under a key."""
Elsewhere = Callable[[bytes, CacheRules], Sequence[StoredResponse]]
"""Returns what lies under a key below memory."""


def nothing(key: bytes, rules: CacheRules) -> Sequence[StoredResponse]:  # noqa: ARG001
    """Return nothing: memory is all there is."""
    return ()


def nowhere(key: bytes, variants: Sequence[StoredResponse]) -> None:
    """Tell nobody: memory is all there is."""


def with_form(stored: StoredResponse, form: Form) -> StoredResponse:
    """Return *stored* with *form*, and without those whose place it takes."""
    others = [each for each in stored.forms if not _replaces(form, each)]
    if dictionaries.is_ours(form.coding):
        made = [each for each in others if dictionaries.is_ours(each.coding)]
        for oldest in made[: max(0, len(made) - _MOST_BY_DICTIONARY + 1)]:
            others.remove(oldest)
    return replace(stored, forms=(*others, form))


def _replaces(form: Form, other: Form) -> bool:
    return form.coding == other.coding or images.supersedes(form.coding, other.coding)


def improvable(shelf: Shelf, coding: str) -> tuple[StoredResponse, Form] | None:
    """Return what on *shelf* has a form in *coding* that could be smaller; None for nothing."""
    for stored in shelf.variants:
        if len(stored.body) > _LARGEST_AGAIN or b"content-encoding" in stored.fields:
            continue
        for form in stored.forms:
            if form.coding == coding and not form.best:
                return stored, form
    return None
