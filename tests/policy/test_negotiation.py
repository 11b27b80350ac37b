"""What an Accept-Encoding comes down to, and what an encoded response says about itself."""

import pytest

from gateway.policy import negotiation
from gateway.policy.negotiation import Coding, Compression, choose
from gateway.wire.fields import Fields

ALL = Compression().codings
CLIENTS = Compression()


@pytest.mark.parametrize(
    ("accept", "coding", "required"),
    [
        pytest.param(None, None, False, id="none-sent"),
        pytest.param(b"", None, False, id="nothing-accepted"),
        pytest.param(b"gzip, deflate, br, zstd", "br", False, id="a-browser"),
        pytest.param(b"gzip, deflate", "gzip", False, id="an-old-browser"),
        pytest.param(b"GZIP", "gzip", False, id="any-case"),
        pytest.param(b"x-gzip", "gzip", False, id="an-old-name"),
        pytest.param(b"gzip;q=1.0, br;q=0.5", "gzip", False, id="by-weight"),
        pytest.param(b"gzip ; q=0.2 , zstd;q=0.3", "zstd", False, id="space-around"),
        pytest.param(b"*", "br", False, id="anything"),
        pytest.param(b"br;q=0, *", "zstd", False, id="anything-but"),
        pytest.param(b"gzip;q=0", None, False, id="refused"),
        pytest.param(b"identity, gzip;q=0.5", None, False, id="rather-as-it-is"),
        pytest.param(b"identity;q=0.5, gzip;q=0.5", "gzip", False, id="equal-to-identity"),
        pytest.param(b"identity;q=0, gzip", "gzip", True, id="not-as-it-is"),
        pytest.param(b"gzip, *;q=0", "gzip", True, id="nothing-else"),
        pytest.param(b"*;q=0", None, False, id="nothing-at-all"),
        pytest.param(b"gzip;q=2, br;q=abc, deflate", "deflate", False, id="broken-members"),
        pytest.param(b"snappy, lzma", None, False, id="unknown"),
    ],
)
def test_the_best_coding_for_both_is_chosen(
    accept: bytes | None, coding: str | None, required: bool
) -> None:
    found = choose(accept, ALL)

    assert found.coding == coding
    assert found.required is required


def test_rules_decide_between_codings_that_a_client_likes_equally() -> None:
    assert choose(b"gzip, br, zstd", (Coding.ZSTD, Coding.BR)).coding is Coding.ZSTD
    assert choose(b"gzip", (Coding.ZSTD, Coding.BR)).coding is None


@pytest.mark.parametrize("accept", [None, b"br", b"gzip, *;q=0", b"identity", b"zstd;q=0.1"])
def test_what_stands_for_an_accept_encoding_comes_down_to_the_same(accept: bytes | None) -> None:
    found = choose(accept, ALL)

    assert choose(found.normal, ALL) == found


@pytest.mark.parametrize(
    ("fields", "status", "suited"),
    [
        pytest.param({"content-type": "application/json"}, 200, True, id="json"),
        pytest.param({"content-type": "Text/HTML; charset=utf-8"}, 200, True, id="html"),
        pytest.param({"content-type": "image/svg+xml"}, 200, True, id="svg"),
        pytest.param({"content-type": "application/problem+json"}, 404, True, id="an-error"),
        pytest.param({"content-type": "image/png"}, 200, False, id="an-image"),
        pytest.param({}, 200, False, id="no-type"),
        pytest.param({"content-type": "text/css"}, 206, False, id="a-part"),
        pytest.param({"content-type": "text/css"}, 304, False, id="not-modified"),
        pytest.param(
            {"content-type": "text/css", "content-encoding": "br"}, 200, False, id="encoded"
        ),
        pytest.param(
            {"content-type": "text/css", "content-encoding": "identity"}, 200, True, id="identity"
        ),
        pytest.param(
            {"content-type": "text/css", "cache-control": "max-age=1, No-Transform"},
            200,
            False,
            id="no-transform",
        ),
    ],
)
def test_only_what_may_be_changed_is_encoded(
    fields: dict[str, str], status: int, suited: bool
) -> None:
    of = Fields.of(*((name.encode(), value.encode()) for name, value in fields.items()))

    assert negotiation.suits(status, of, CLIENTS) is suited


def test_vary_is_extended_once() -> None:
    for before, after in [
        (None, b"Accept-Encoding"),
        (b"Origin", b"Origin, Accept-Encoding"),
        (b"accept-encoding", b"accept-encoding"),
        (b"*", b"*"),
    ]:
        fields = Fields() if before is None else Fields.of((b"Vary", before))
        assert negotiation.with_vary(fields).get(b"vary") == after


def test_a_strong_tag_gets_a_suffix_and_a_weak_one_stays() -> None:
    strong, weak = Fields.of((b"ETag", b'"a"')), Fields.of((b"ETag", b'W/"a"'))

    assert negotiation.tag_of(strong, b"br", b"0a1b2c3d", weak=False) == b'"a-br.0a1b2c3d"'
    assert negotiation.tag_of(strong, b"br", b"", weak=True) == b'W/"a-br"'
    assert negotiation.tag_of(weak, b"br", b"0a1b2c3d", weak=False) == b'W/"a"'
    assert negotiation.tag_of(Fields(), b"br", b"0a1b2c3d", weak=False) is None


def test_tags_of_the_same_coding_mean_the_same_content() -> None:
    ours = b'"a-br.0a1b2c3d"'
    for theirs, same in [
        (b'W/"a-br"', True),
        (b'"x", "a-br.ffffffff"', True),
        (b'"a-gzip.0a1b2c3d"', False),
        (b'"a"', False),
    ]:
        asked = Fields.of((b"If-None-Match", theirs))
        found = negotiation.same_representation(asked, ours).get(b"if-none-match")
        assert found is not None
        assert (ours in found) is same
