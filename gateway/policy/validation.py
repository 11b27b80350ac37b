"""Asking the origin whether a stored response still holds (RFC 9111 section 4.3)."""

from dataclasses import replace
from typing import Final

from gateway.policy import groups, refresh, vary
from gateway.policy.age import Arrival
from gateway.policy.directives import parse_response
from gateway.policy.freshness import freshness_lifetime, is_anonymous
from gateway.policy.preconditions import is_strong, opaque_tag
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.stored import NominatedField, StoredResponse
from gateway.policy.storing import dated, stored_fields
from gateway.wire import dates
from gateway.wire.fields import Fields, elements, line
from gateway.wire.message import ResponseHead

_OF_THE_CLIENT: Final = frozenset(
    {
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)


def conditional(stored: StoredResponse, request_fields: Fields) -> Fields:
    """Return the fields of a request that validates *stored* (section 4.3.1).

    The client's own preconditions are left out: the answer is for the cache and for all who
    wait on it, and whether a client has it already is judged afterwards. With no validator
    stored, that makes an unconditional request.
    """
    lines = []
    etag = stored.fields.get(b"etag")
    if etag is not None:
        lines.append(line(b"If-None-Match", etag))
    modified = stored.fields.get(b"last-modified")
    if modified is not None:
        lines.append(line(b"If-Modified-Since", modified))
    return request_fields.without(_OF_THE_CLIENT).plus(*lines)


def selects(stored: StoredResponse, response304: ResponseHead) -> bool:
    """Return whether a 304 is about *stored* (section 4.3.4).

    A strong entity tag must be the stored one's equal, a weak one or a Last-Modified agree
    with it. One without any validator is believed: the request named this response alone.
    """
    return _same_validators(stored.fields, response304.fields)


def _same_validators(ours: Fields, theirs: Fields) -> bool:
    etag = theirs.get(b"etag")
    stored_etag = ours.get(b"etag")
    if etag is not None:
        if is_strong(etag):
            return stored_etag is not None and stored_etag == etag
        if stored_etag is not None:
            return opaque_tag(stored_etag) == opaque_tag(etag)
    modified = theirs.get(b"last-modified")
    stored_modified = ours.get(b"last-modified")
    if modified is None or stored_modified is None or modified == stored_modified:
        return True
    instant = dates.parse(modified)
    return instant is not None and instant == dates.parse(stored_modified)


_NEVER_UPDATED: Final = frozenset({b"content-encoding", b"content-length", b"content-range"})
"""What describes the bytes that we hold. Section 3.2 names Content-Length; Content-Encoding
is its example of metadata whose change would belie a stored body, Content-Range of a field
that is processed and removed. Other Content-* fields, Content-Type too, do update."""


def freshen(
    stored: StoredResponse,
    response304: ResponseHead,
    rules: CacheRules,
    arrival: Arrival,
    request_fields: Fields | None = None,
    chance: float = 0.0,
) -> StoredResponse:
    """Return *stored* as a 304 that `selects` it has updated it (sections 3.2 and 4.3.4).

    *request_fields* are those of the request that the 304 answered, for a Vary that has
    changed; without them such a response matches no further request. The result may have
    become unstorable: `storing.forbidden` says. *chance* is as in `storing.decide`.
    """
    return _updated(stored, response304, rules, arrival, request_fields, chance)


def freshened_by_head(
    stored: StoredResponse,
    head: ResponseHead,
    rules: CacheRules,
    arrival: Arrival,
    request_fields: Fields | None = None,
) -> StoredResponse:
    """Return *stored* as a response to HEAD leaves it (section 4.3.5).

    A 200 with the same validators and length updates it; a 200 with others makes it stale,
    so that it is validated before its next use. Any other status says nothing about it.
    """
    if head.status != 200:
        return stored
    length = head.fields.get(b"content-length")
    same_length = length is None or (
        length.isdigit() and len(length) < 19 and int(length) == len(stored.body)
    )
    if stored.status == 200 and same_length and _same_validators(stored.fields, head.fields):
        return _updated(stored, head, rules, arrival, request_fields, 0.0)
    return replace(stored, lifetime=0.0)


def _updated(
    stored: StoredResponse,
    response: ResponseHead,
    rules: CacheRules,
    arrival: Arrival,
    request_fields: Fields | None,
    chance: float,
) -> StoredResponse:
    excluded = _NEVER_UPDATED
    if rules.scope is not Scope.SHARED:
        # It belongs to the client that caused the validation, not to the next one.
        excluded = excluded | {b"set-cookie"}
    update = stored_fields(response.fields).without(excluded)
    # The stored Age was the former response's; a 304 without one has none.
    replaced = {name for name, _, _ in update.lines} | {b"age", b"date"}
    fields = Fields((*stored.fields.without(replaced).lines, *update.lines))
    # Directives that remain may name fields that the 304 brought.
    fields = dated(stored_fields(fields), arrival)
    directives = parse_response(fields)
    anonymous = request_fields is None or is_anonymous(request_fields, rules)
    lifetime = freshness_lifetime(
        stored.status, fields, directives, rules, arrival, anonymous=anonymous
    )
    nominated: tuple[NominatedField, ...] | None = stored.nominated
    if b"vary" in update and _names(update) != _names(stored.fields):
        nominated = (
            None if request_fields is None else vary.nominated(request_fields, fields, rules)
        )
    return replace(
        stored,
        fields=fields,
        arrival=arrival,
        lifetime=refresh.jittered(lifetime.seconds, rules.jitter, chance),
        directives=directives,
        nominated=vary.MATCHES_NOTHING if nominated is None else nominated,
        groups=groups.carried(fields),
        rules=rules,
        invalid=False,
    )


def _names(fields: Fields) -> set[bytes]:
    return {name.lower() for name in elements(fields.get(b"vary") or b"")}
