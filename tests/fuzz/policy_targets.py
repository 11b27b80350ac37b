"""Field values that say what a cache may do: never an error, and never more than was said."""

import re
from dataclasses import fields as attributes

import http_sf

from gateway.policy import (
    age,
    directives,
    invalidation,
    lists,
    negotiation,
    ranges,
    structured,
)
from gateway.policy.directives import FOREVER
from gateway.policy.negotiation import Coding
from gateway.policy.structured import Kind
from gateway.routing.identity import IdentityVerifier, KeySet, OrgProof
from gateway.wire.fields import NONE, Fields
from gateway.wire.message import RequestHead, Target
from gateway.wire.target import origin_form
from tests.fuzz.target import Target as Fuzzed

WORDS = (
    b"max-age=", b"s-maxage=60", b"no-store", b"no-cache", b'no-cache="a, b"', b"private",
    b'private="set-cookie"', b"public", b"immutable", b"must-understand", b"only-if-cached",
    b"stale-while-revalidate=5", b"stale-if-error", b"min-fresh=1", b"max-stale", b",", b", ",
    b'"', b"\\", b"=", b" = ", b"\t", b"0", b"-1", b"99999999999999999999", b"1.5", b"'1'",
)  # fmt: skip


def _one(name: bytes, value: bytes) -> Fields:
    return Fields.of((name, value))


def check_cache_control(data: bytes) -> None:
    for parse in (directives.parse_request, directives.parse_response):
        read = parse(_one(b"Cache-Control", data))
        for each in attributes(read):
            value = getattr(read, each.name)
            if isinstance(value, int) and not isinstance(value, bool):
                assert 0 <= value <= FOREVER, f"{each.name} is no duration"
    said = directives.parse_response(_one(b"Cache-Control", data))
    for more in (data + b", no-store", b"no-store, " + data):
        # Whatever stands beside it, quoted badly or not, hides no restriction.
        assert directives.parse_response(_one(b"Cache-Control", more)).no_store, more
        assert directives.parse_request(_one(b"Cache-Control", more)).no_store, more
    shorter = directives.parse_response(_one(b"Cache-Control", data + b", max-age=0"))
    assert shorter.max_age == 0
    twice = Fields.of((b"Cache-Control", data), (b"cache-control", data))
    if data.count(b'"') % 2 == 0 and b"\\" not in data:
        assert directives.parse_response(twice) == said, "said twice, it is something else"
    assert all(each and each == each.strip(b" \t") for each in lists.split(data))


def _reference(data: bytes, kind: str) -> object:
    """Return what http-sf, by the author of RFC 9651, makes of *data*; None for a refusal."""
    try:
        return http_sf.parse(data, tltype=kind)
    except ValueError:
        return None


def _same(ours: structured.Value, theirs: object) -> bool:
    value = theirs[0] if isinstance(theirs, tuple) else theirs
    if isinstance(ours, Kind):
        return not isinstance(value, bool | int)
    if isinstance(ours, bytes):
        return type(value) is str and value.encode() == ours
    return type(value) is type(ours) and value == ours


_BYTES = re.compile(rb":[A-Za-z0-9+/=]*:")


def check_structured(data: bytes) -> None:
    """We and another library agree on what is valid and on each member's value."""
    mapping, expected = structured.parse_dictionary(data), _reference(data, "dictionary")
    if b"%" in data or _BYTES.search(data):
        # A Display String whose escapes are no UTF-8, and a Byte Sequence that is no base64,
        # fail in theirs alone: no directive is either, so we don't decode them.
        return
    assert (mapping is None) == (expected is None)
    if mapping is not None:
        assert isinstance(expected, dict)
        assert [key.decode() for key in mapping] == list(expected)
        assert all(map(_same, mapping.values(), expected.values()))
    members, others = structured.parse_list(data), _reference(data, "list")
    assert (members is None) == (others is None)
    if members is not None:
        assert isinstance(others, list)
        assert len(members) == len(others)
        assert all(map(_same, members, others))


def check_negotiated(data: bytes) -> None:
    """What a client asks for: parts within the body, a coding that it takes, nobody else."""
    for size in (0, 1, 10_000):
        spans = ranges.spans(data, size) or []
        assert all(0 <= start < end <= size for start, end in spans)
        assert len(spans) <= ranges.MOST_RANGES
        assert len(spans) < 2 or sum(end - start for start, end in spans) < size, "costs more"
    choice = negotiation.choose(data, tuple(Coding))
    if choice.coding is not None:
        assert negotiation.choose(choice.normal, tuple(Coding)) == choice
        named = data.lower()
        assert choice.coding.encode() in named or b"*" in named or b"gzip" in named
    known = VERIFIER.identify(b"s=" + data, 1_800_000_000.0)
    assert known.org is None, "nobody signed it"
    assert age.age_value(data) >= 0


def check_location(data: bytes) -> None:
    """A response forgets only what lies at the same host, and only a path that we would take."""
    head = RequestHead(b"POST", Target(b"/a/b", b"c"), 1, b"hub.test", NONE)
    found = invalidation.resolved(data, head)
    if found is not None:
        assert origin_form(found.encode()) == found


# RFC 8037 appendix A.2: whose private half is printed there, and signs nothing here.
ORG_KEYS = (
    '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig",'
    ' "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)
VERIFIER = IdentityVerifier("s", OrgProof("s", "org_id", KeySet.from_json(ORG_KEYS)))

TARGETS = (
    Fuzzed(
        "cache-control",
        check_cache_control,
        (b"public, max-age=60", b'private="a, b", no-cache', b"s-maxage=1, max-stale", b'a="b\\"'),
        WORDS,
        300,
    ),
    Fuzzed(
        "structured",
        check_structured,
        (b"max-age=60, a", b'a=("x" 1;p=2);q, b=:YQ==:', b"a=1.5, b=tok/en, d=@9", b'"a", (b c)'),
        (*WORDS, b"(", b")", b";", b":", b"?1", b"?0", b"@", b"*", b"a=", b"1.", b"0.1234"),
        300,
    ),
    Fuzzed(
        "negotiated",
        check_negotiated,
        (
            b"bytes=0-1, -5, 7-",
            b"br;q=0.5, gzip, *;q=0",
            b'"a", W/"b"',
            b"eyJhbGciOiJub25lIn0.e30.",
        ),
        (*WORDS, b"-", b"bytes=", b"gzip;q=0.001", b"identity;q=0", b"*", b";q=", b".", b"eyJ"),
        300,
    ),
    Fuzzed(
        "location",
        check_location,
        (b"/a?b", b"http://hub.test/x", b"//hub.test/y", b"../z", b"?q", b"https://HUB.TEST:443/"),
        (b"http:", b"//", b"@", b":", b"[", b"]", b"..", b"%2f", b"#", b"\\", b"hub.test", b"?"),
        300,
    ),
)
