"""Stored responses as bytes, for the tiers below memory.

A record names its own format, is checked as a whole, and repeats the key that it was
written under: a value that is damaged, foreign, of another version or another key's is told
from a good one before anything in it is believed, and counts as absent.

    magic "GWsr" | version | crc32 of the rest | newest response time | payload in msgpack
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from hashlib import blake2b
from struct import Struct
from typing import Any

import msgspec
from isal import isal_zlib

from gateway.policy.age import Arrival
from gateway.policy.directives import parse_response
from gateway.policy.rules import CacheRules
from gateway.policy.stored import Filed, Form, StoredResponse
from gateway.wire.fields import Fields

MAGIC = b"GWsr"
VERSION = 1
_HEAD = Struct("<4sBId")
_CHECKED_FROM = 9
"""The checksum covers what follows it: the instant and the payload."""
_MARKS_KEPT = 4096


class NotARecord(ValueError):
    """These bytes aren't a record of ours, or not any more; the text says what is wrong."""


class _Form(msgspec.Struct, array_like=True, frozen=True):
    coding: str
    body: bytes
    plain_bytes: int
    mark: bytes
    best: bool


class _Variant(msgspec.Struct, array_like=True, frozen=True):
    status: int
    reason: bytes
    lines: list[tuple[bytes, bytes]]
    body: bytes
    arrival: tuple[float, float, float, float]
    lifetime: float
    nominated: list[tuple[bytes, bytes | None]]
    groups: list[bytes]
    filed: tuple[bytes, bytes, str, list[bytes]]
    invalid: bool
    forms: list[_Form]
    decided_by: bytes
    """The mark of the rules that its lifetime came from."""


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    key: bytes
    variants: list[_Variant]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Payload).decode


def encode(key: bytes, variants: Sequence[StoredResponse]) -> bytes:
    """Return the record of *variants*, newest first, under *key*."""
    newest = max((each.arrival.response_time for each in variants), default=0.0)
    payload = _encode(_Payload(key, [_packed(each) for each in variants]))
    rest = _INSTANT.pack(newest) + payload
    return _PREFIX.pack(MAGIC, VERSION, isal_zlib.crc32(rest)) + rest


_PREFIX = Struct("<4sBI")
_INSTANT = Struct("<d")


def newest(record: bytes | memoryview) -> float:
    """Return when the newest variant came (epoch seconds), unchecked; raises NotARecord."""
    if len(record) < _HEAD.size:
        raise NotARecord("it is shorter than a record's head")
    magic, version, _, instant = _HEAD.unpack_from(record)
    if magic != MAGIC:
        raise NotARecord("it was written by something else")
    if version != VERSION:
        raise NotARecord(f"it has version {version}, not {VERSION}")
    return float(instant)


def came(record: bytes | memoryview) -> float:
    """Return when the newest variant came (epoch seconds), as `newest`; 0 for no record."""
    try:
        return newest(record)
    except NotARecord:
        return 0.0


def decode(
    record: bytes, key: bytes, rules: CacheRules | None = None
) -> tuple[StoredResponse, ...]:
    """Return the variants in *record*, newest first.

    They carry *rules* where their lifetimes were decided by the same ones, and else none, so
    that they are judged anew. Raises NotARecord for anything but a whole record under *key*.
    """
    newest(record)
    rest = memoryview(record)[_CHECKED_FROM:]
    if isal_zlib.crc32(rest) != _HEAD.unpack_from(record)[2]:
        raise NotARecord("it is damaged: its checksum doesn't match")
    try:
        payload = _decode(rest[_INSTANT.size :])
    except msgspec.DecodeError as error:
        raise NotARecord(f"it can't be read: {error}") from error
    if payload.key != key:
        raise NotARecord("it belongs to another key")
    mark = None if rules is None else rules_mark(rules)
    same = all(each.decided_by == mark for each in payload.variants)
    return tuple(_unpacked(each, rules if same else None) for each in payload.variants)


def _packed(stored: StoredResponse) -> _Variant:
    arrival, filed = stored.arrival, stored.filed
    return _Variant(
        status=stored.status,
        reason=stored.reason,
        lines=[(name, value) for _, name, value in stored.fields.lines],
        body=stored.body,
        arrival=(
            arrival.date_value,
            arrival.age_value,
            arrival.request_time,
            arrival.response_time,
        ),
        lifetime=stored.lifetime,
        nominated=list(stored.nominated),
        groups=list(stored.groups),
        filed=(filed.host, filed.target, filed.route, list(filed.labels)),
        invalid=stored.invalid,
        forms=[
            _Form(form.coding, form.body, form.plain_bytes, form.mark, form.best)
            for form in stored.forms
        ],
        decided_by=b"" if stored.rules is None else rules_mark(stored.rules),
    )


def _unpacked(packed: _Variant, rules: CacheRules | None) -> StoredResponse:
    fields = Fields.of(*packed.lines)
    host, target, route, labels = packed.filed
    return StoredResponse(
        status=packed.status,
        reason=packed.reason,
        fields=fields,
        body=packed.body,
        arrival=Arrival(*packed.arrival),
        lifetime=packed.lifetime,
        directives=parse_response(fields),
        nominated=tuple(packed.nominated),
        groups=tuple(packed.groups),
        rules=rules,
        filed=Filed(host, target, route, tuple(labels)),
        invalid=packed.invalid,
        forms=tuple(
            Form(form.coding, form.body, form.plain_bytes, form.mark, form.best)
            for form in packed.forms
        ),
    )


_marks: dict[int, tuple[CacheRules, bytes]] = {}


def rules_mark(rules: CacheRules) -> bytes:
    """Return eight bytes that two rules share just when they say the same."""
    # By identity: rules live as long as a snapshot, and comparing them whole costs more.
    known = _marks.get(id(rules))
    if known is not None and known[0] is rules:
        return known[1]
    plain = {each.name: _plain(getattr(rules, each.name)) for each in fields_of(rules)}
    text = msgspec.json.encode(plain, order="deterministic")
    mark = blake2b(text, digest_size=8).digest()
    if len(_marks) >= _MARKS_KEPT:
        _marks.clear()
    _marks[id(rules)] = (rules, mark)
    return mark


def _plain(value: Any) -> Any:
    """Return *value*, a part of the rules, as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(each) for each in value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: _plain(getattr(value, each.name)) for each in fields_of(value)}
    return value
