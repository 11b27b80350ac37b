"""What of a stored response a request gets: all of it, a part, its head, or "not modified"."""

import secrets
from dataclasses import dataclass

from gateway.edge import forwarding
from gateway.policy import downstream, images, negotiation, preconditions, ranges
from gateway.policy.ranges import Piece
from gateway.policy.stored import StoredResponse
from gateway.routing.route import Route
from gateway.wire.fields import FieldLine, Fields
from gateway.wire.message import RequestHead

_NOT_FROM_STORE = frozenset({b"age"})


@dataclass(slots=True)
class Selection:
    """An answer, all but Age and what frames its body."""

    status: int
    reason: bytes
    lines: tuple[FieldLine, ...]
    pieces: list[Piece]
    """The body; for HEAD too, of which only the length is told."""
    length: int | None
    """Bytes of the body; None where the status has none."""


def select(head: RequestHead, stored: StoredResponse, route: Route) -> Selection:
    """Return the answer that *stored* gives *head* on its way through *route*."""
    if (
        preconditions.evaluate(asked_fields(head, stored), stored)
        is preconditions.Outcome.NOT_MODIFIED
    ):
        fields = preconditions.not_modified_fields(stored)
        return Selection(304, b"Not Modified", _lines(fields, stored, route), [], None)
    if wants_range(head):
        boundary = secrets.token_hex(16).encode()
        part = ranges.answer(head.fields, stored, boundary)
        if part is not None:
            lines = _lines(part.fields, stored, route)
            return Selection(part.status, part.reason, lines, part.pieces, part.length)
    lines = _lines(stored.fields, stored, route)
    return Selection(stored.status, stored.reason, lines, [stored.body], len(stored.body))


def asked_fields(head: RequestHead, stored: StoredResponse) -> Fields:
    """Return the fields of *head*, whose tags may be of the same content, encoded otherwise."""
    if not stored.coding:
        return head.fields
    etag = stored.fields.get(b"etag")
    return head.fields if etag is None else negotiation.same_representation(head.fields, etag)


def wants_range(head: RequestHead) -> bool:
    """Return whether *head* asks for a part; a Range means nothing but in a GET."""
    return b"range" in head.fields.index() and head.method == b"GET"


def _lines(fields: Fields, stored: StoredResponse, route: Route) -> tuple[FieldLine, ...]:
    told = downstream.fields_for_client(fields, route.cache, stored.lifetime, stored.status)
    if route.images is not None:
        told = images.after_us(told, stored, route.images)
    if stored.passing:
        told = downstream.for_a_moment(told)
    return forwarding.response_lines(told.without(_NOT_FROM_STORE), 1, route)
