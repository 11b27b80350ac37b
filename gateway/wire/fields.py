"""Field lines: the named values of a head or a trailer (RFC 9110 section 5).

A field line is a triple of bytes: the name in lower case, the name as it was spelled, and
the value without the space around it. Names compare in lower case; what is forwarded keeps
its spelling. Order is kept, because lines of one name are joined in order.
"""

from collections.abc import Collection, Iterable, Iterator

FieldLine = tuple[bytes, bytes, bytes]
"""(name in lower case, name as spelled, value)."""


def line(name: bytes, value: bytes) -> FieldLine:
    """Return the field line that *name*, spelled so, and *value* make."""
    return (name.lower(), name, value)


class Fields:
    """The field lines of one message, in order; never changed in place."""

    __slots__ = ("_index", "lines")

    def __init__(self, lines: Iterable[FieldLine] = ()) -> None:
        self.lines: tuple[FieldLine, ...] = tuple(lines)
        self._index: dict[bytes, bytes] | None = None

    @classmethod
    def of(cls, *pairs: tuple[bytes, bytes]) -> "Fields":
        """Return the fields made of (name, value) pairs."""
        return cls([line(name, value) for name, value in pairs])

    def index(self) -> dict[bytes, bytes]:
        """Return the combined value of each lower-case name (RFC 9110 section 5.3).

        Made once and shared: callers don't change it. ``set-cookie`` and ``cookie`` have
        grammars of their own; ask `every` for the former.
        """
        index = self._index
        if index is None:
            index = {}
            for name, _, value in self.lines:
                if name in index:
                    glue = b"; " if name == b"cookie" else b", "
                    index[name] = index[name] + glue + value
                else:
                    index[name] = value
            self._index = index
        return index

    def get(self, name: bytes) -> bytes | None:
        """Return the combined value under the lower-case *name*; None when absent."""
        index = self._index
        return (self.index() if index is None else index).get(name)

    def every(self, name: bytes) -> list[bytes]:
        """Return the value of each line under the lower-case *name*, in order."""
        return [value for lower, _, value in self.lines if lower == name]

    def without(self, names: Collection[bytes]) -> "Fields":
        """Return these fields less the lines whose lower-case name is in *names*."""
        return Fields([item for item in self.lines if item[0] not in names])

    def plus(self, *lines: FieldLine) -> "Fields":
        """Return these fields with *lines* after them."""
        return Fields((*self.lines, *lines))

    def replaced(self, name: bytes, value: bytes) -> "Fields":
        """Return these fields with one line *name* (as spelled) in place of all of its name."""
        lower = name.lower()
        return Fields([*(item for item in self.lines if item[0] != lower), (lower, name, value)])

    def encode(self) -> bytes:
        """Return the lines as they go over the wire, each with its CRLF."""
        return b"".join([b"%b: %b\r\n" % (name, value) for _, name, value in self.lines])

    def __contains__(self, name: bytes) -> bool:
        return name in self.index()

    def __iter__(self) -> Iterator[FieldLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.lines == other.lines

    def __hash__(self) -> int:
        return hash(self.lines)

    def __repr__(self) -> str:
        return f"Fields({', '.join(f'{n!r}: {v!r}' for _, n, v in self.lines)})"


NONE = Fields()
"""No fields at all."""


def elements(value: bytes) -> list[bytes]:
    """Return the non-empty elements of a comma-separated list without quoted strings.

    For lists of tokens such as Connection or Vary (RFC 9110 section 5.6.1).
    """
    return [stripped for item in value.split(b",") if (stripped := item.strip(b" \t"))]
