"""A record is whole, ours and of its key, or it is nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.age import Arrival
from gateway.policy.directives import parse_response
from gateway.policy.rules import CacheRules, QueryRules, Scope
from gateway.policy.stored import Filed, Form, StoredResponse
from gateway.storage import codec
from gateway.storage.codec import NotARecord, decode, encode
from gateway.wire.fields import Fields
from tests.storage.responses import response

_BYTES = st.binary(max_size=40)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_FORMS = st.builds(
    Form, st.sampled_from(["br", "gzip"]), _BYTES, st.integers(0, 1 << 40), _BYTES, st.booleans()
)


@st.composite
def responses(draw: st.DrawFn) -> StoredResponse:
    lines = draw(
        st.lists(st.tuples(st.sampled_from([b"ETag", b"cache-control", b"X-A"]), _BYTES)).map(tuple)
    )
    fields = Fields.of(*lines)
    return StoredResponse(
        status=draw(st.integers(100, 599)),
        reason=draw(_BYTES),
        fields=fields,
        body=draw(_BYTES),
        arrival=Arrival(draw(_FINITE), draw(_FINITE), draw(_FINITE), draw(_FINITE)),
        lifetime=draw(_FINITE),
        directives=parse_response(fields),
        nominated=tuple(draw(st.lists(st.tuples(_BYTES, st.none() | _BYTES), max_size=3))),
        groups=tuple(draw(st.lists(_BYTES, max_size=3))),
        filed=Filed(draw(_BYTES), draw(_BYTES), draw(st.text(max_size=9)), (draw(_BYTES),)),
        invalid=draw(st.booleans()),
        forms=tuple(draw(st.lists(_FORMS, max_size=2))),
    )


@given(_BYTES, st.lists(responses(), min_size=1, max_size=3))
def test_what_is_decoded_is_what_was_encoded(key: bytes, variants: list[StoredResponse]) -> None:
    record = encode(key, variants)

    assert decode(record, key) == tuple(variants)
    assert codec.newest(record) == max(each.arrival.response_time for each in variants)


@given(st.data())
def test_a_record_with_one_byte_changed_is_no_record(data: st.DataObject) -> None:
    record = bytearray(encode(b"key", [response(b"some body")]))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(NotARecord):
        decode(bytes(record), b"key")


@given(st.data())
def test_a_record_that_was_cut_off_is_no_record(data: st.DataObject) -> None:
    record = encode(b"key", [response(b"some body")])

    with pytest.raises(NotARecord):
        decode(record[: data.draw(st.integers(0, len(record) - 1))], b"key")


@given(st.binary())
def test_what_others_wrote_is_no_record(value: bytes) -> None:
    with pytest.raises(NotARecord):
        decode(value, b"key")


def test_a_record_of_another_key_is_refused() -> None:
    with pytest.raises(NotARecord, match="another key"):
        decode(encode(b"alice", [response(b"hers")]), b"bob")


def test_a_record_of_another_version_is_refused() -> None:
    record = bytearray(encode(b"key", [response()]))
    record[4] += 1

    with pytest.raises(NotARecord, match="version 2, not 1"):
        decode(bytes(record), b"key")


def test_rules_that_say_the_same_are_taken_over_and_others_leave_it_to_be_judged_anew() -> None:
    rules = CacheRules(lifetime=60.0, scope=Scope.ORG, query=QueryRules(ignore=("utm_*",)))
    same = CacheRules(lifetime=60.0, scope=Scope.ORG, query=QueryRules(ignore=("utm_*",)))
    other = replace(rules, lifetime=30.0)
    record = encode(b"key", [replace(response(), rules=rules)])

    assert decode(record, b"key", same)[0].rules is same
    assert decode(record, b"key", other)[0].rules is None


@pytest.mark.parametrize(
    "change",
    [
        {"scope": Scope.PUBLIC},
        {"status_lifetimes": {404: 10.0}},
        {"vary_exact": frozenset({b"accept"})},
        {"overrides": frozenset({"private"})},
        {"query": QueryRules(only=("page",))},
    ],
)
def test_every_part_of_the_rules_tells_their_marks_apart(change: dict[str, object]) -> None:
    assert codec.rules_mark(CacheRules()) != codec.rules_mark(CacheRules(**change))  # type: ignore[arg-type]
