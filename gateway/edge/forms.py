"""The forms of a stored response: which stay beside a new one."""

from dataclasses import replace

from gateway.policy import dictionaries, images
from gateway.policy.stored import Form, StoredResponse

_MOST_BY_DICTIONARY = 4
"""Forms of one response that dictionaries made: so many releases are followed at once."""


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
