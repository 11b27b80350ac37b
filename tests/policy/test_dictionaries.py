"""Which files follow one another, and what a client says that it has."""

import pytest

from gateway.policy import dictionaries
from gateway.wire.fields import Fields, line

DIGEST = ":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/_next/static/app.0123456789.js", "/_next/static/app.*.js"),
        ("/a/main-deadbeef.chunk.css", "/a/main-*.chunk.css"),
        ("/a/main_deadbeef.css", "/a/main_*.css"),
        ("/a/0123456789abcdef.js", None),
        ("/a/app.js", None),
        ("/a/app.v2.js", None),
        ("/a/app.DEADBEEF.js", None),
        ("/a/app.deadbeef", None),
        ("/a/app.deadbeef.deadbeef.js", None),
        ("/deadbeef.x/app.js", None),
        ("/a/a+b.deadbeef.js", None),
        ("/a/a(b).deadbeef.js", None),
        ("/a/a%41.deadbeef.js", None),
    ],
)
def test_releases_of_a_file_differ_in_one_hash(path: str, expected: str | None) -> None:
    found = dictionaries.pattern(path.encode())

    assert (None if found is None else found.decode()) == expected


@pytest.mark.parametrize(
    ("accept", "written", "has"),
    [
        ("gzip, br, zstd, dcb, dcz", DIGEST, True),
        ("DCZ;q=0.5", f" {DIGEST} ", True),
        ("gzip, br", DIGEST, False),
        ("dcz;q=0", DIGEST, False),
        ("dcz;q=0.000", DIGEST, False),
        ("dcz", "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=", False),
        ("dcz", ":AAAA:", False),
        ("dcz", ":not base64!:", False),
        ("dcz", "::", False),
        ("dcz", ":", False),
        ("dcz", "", False),
        ("dcz", None, False),
    ],
)
def test_a_dictionary_counts_where_its_coding_is_taken(
    accept: str, written: str | None, has: bool
) -> None:
    fields = Fields([line(b"Accept-Encoding", accept.encode())])
    if written is not None:
        fields = fields.plus(line(b"Available-Dictionary", written.encode()))

    found = dictionaries.available(fields)

    assert (found is not None) is has
    assert found is None or len(found) == 32
