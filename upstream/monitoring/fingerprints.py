"""Which queries are the same query: their text with the constants taken out.

PostgreSQL's own parser decides (pglast), so that two spellings of one statement have one
fingerprint whatever their constants, white space and letter case.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pglast import parser

OTHER: Final = "OTHER"
_STATEMENTS: Final = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
}
_LONGEST_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class Statement:
    """What is the same in all queries of one kind."""

    fingerprint: str
    """16 hexadecimal digits, as pg_query makes them."""
    kind: str
    """SELECT, INSERT, UPDATE, DELETE or OTHER."""
    text: str
    """With ``$n`` in place of constants, on one line; clipped."""


@lru_cache(maxsize=4096)
def statement(sql: str) -> Statement:
    """Return what *sql* is a case of; a text that isn't SQL is a kind of its own."""
    try:
        text = parser.normalize(sql)
        fingerprint = parser.fingerprint(sql)
        kind = _kind(sql)
    except parser.ParseError:
        # LISTEN with odd names, or a server newer than the parser: counted by its text.
        return Statement(f"{hash(sql) & (2**64 - 1):016x}", OTHER, _clipped(sql))
    return Statement(fingerprint, kind, _clipped(text))


def _kind(sql: str) -> str:
    tree = parser.parse_sql(sql)
    if len(tree) != 1:
        return OTHER
    return _STATEMENTS.get(type(tree[0].stmt).__name__, OTHER)


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
