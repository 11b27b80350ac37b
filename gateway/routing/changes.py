"""Header fields that a route sets and removes."""

from dataclasses import dataclass

from gateway.wire.fields import FieldLine, Fields, line


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """First *removed* go, then *added* take the place of what has their names."""

    removed: frozenset[bytes] = frozenset()
    """Names in lower case."""
    added: tuple[FieldLine, ...] = ()

    def apply(self, fields: Fields) -> Fields:
        """Return *fields* with the changes made; *fields* itself where there are none."""
        if not self.removed and not self.added:
            return fields
        gone = self.removed | {name for name, _, _ in self.added}
        return fields.without(gone).plus(*self.added)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


UNCHANGED = FieldChanges()
"""No changes at all."""

NEVER_CHANGED = frozenset(
    {
        b"connection",
        b"content-length",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"age",
        b"x-cache",
        b"cache-status",
    }
)
"""What frames a message, names its connection, or is the gateway's own word (RFC 9110
section 7.6): a rule that changed these would break messages or make them lie."""


def changes(removed: tuple[str, ...], added: tuple[tuple[str, str], ...]) -> FieldChanges:
    """Return the changes that remove the names *removed* and set the pairs *added*."""
    return FieldChanges(
        frozenset(name.lower().encode("ascii") for name in removed),
        tuple(line(name.encode("ascii"), value.encode("utf-8")) for name, value in added),
    )
