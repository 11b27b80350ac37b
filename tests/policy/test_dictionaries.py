"""Which files follow one another, and what a client says that it has."""

from base64 import b64decode

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
    ("accept", "written", "coding"),
    [
        ("gzip, br, zstd, dcb, dcz", DIGEST, "dcb"),
        ("gzip, br, zstd, dcz, dcb", DIGEST, "dcb"),
        ("gzip, br, zstd, dcz", DIGEST, "dcz"),
        ("dcb", DIGEST, "dcb"),
        ("dcb;q=0.9, dcz", DIGEST, "dcz"),
        ("dcb;q=0, dcz", DIGEST, "dcz"),
        ("DCZ;q=0.5", f" {DIGEST} ", "dcz"),
        ("br, dcz;q=0.5", DIGEST, None),
        ("gzip, br", DIGEST, None),
        ("*", DIGEST, None),
        ("", DIGEST, None),
        ("dcz;q=0", DIGEST, None),
        ("dcz;q=0.000, dcb;q=0", DIGEST, None),
        ("dcz", "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=", None),
        ("dcz", ":AAAA:", None),
        ("dcz", ":not base64!:", None),
        ("dcz", "::", None),
        ("dcz", ":", None),
        ("dcz", "", None),
        ("dcz", None, None),
    ],
)
def test_a_dictionary_counts_where_its_coding_is_taken(
    accept: str, written: str | None, coding: str | None
) -> None:
    fields = Fields([line(b"Accept-Encoding", accept.encode())])
    if written is not None:
        fields = fields.plus(line(b"Available-Dictionary", written.encode()))

    found = dictionaries.available(fields, ["dcb", "dcz"])

    assert found == (None if coding is None else f"{coding}:{b64decode(DIGEST[1:-1]).hex()}")
    assert found is None or dictionaries.parsed(found) == (coding, b64decode(DIGEST[1:-1]))
