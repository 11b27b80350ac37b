"""What of a stored response a request gets: all of it, its head, or "not modified"."""

from gateway.edge import forwarding
from gateway.policy import downstream, preconditions
from gateway.policy.rules import CacheRules
from gateway.policy.stored import StoredResponse
from gateway.wire.fields import FieldLine, Fields
from gateway.wire.message import RequestHead

_NOT_FROM_STORE = frozenset({b"age"})

Selection = tuple[int, bytes, tuple[FieldLine, ...], bytes]
"""(status, reason, field lines, body)."""


def select(head: RequestHead, stored: StoredResponse, rules: CacheRules) -> Selection:
    """Return the answer that *stored* gives *head*.

    The field lines carry neither Age nor what frames the body.
    """
    if preconditions.evaluate(head.fields, stored) is preconditions.Outcome.NOT_MODIFIED:
        fields = preconditions.not_modified_fields(stored)
        return 304, b"Not Modified", _lines(fields, stored, rules), b""
    return stored.status, stored.reason, _lines(stored.fields, stored, rules), stored.body


def _lines(fields: Fields, stored: StoredResponse, rules: CacheRules) -> tuple[FieldLine, ...]:
    told = downstream.fields_for_client(fields, rules, stored.lifetime, stored.status)
    return forwarding.response_lines(told.without(_NOT_FROM_STORE), 1)
