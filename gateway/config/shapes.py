"""The shapes that a value in the rules can have: how each is read, shown and put in a schema.

A shape is declared once in `spec.py`; the loader, the JSON Schema and the commands that
show rules all follow from it. Reading reports what is wrong and goes on, so that an
operator sees every mistake of a file at once.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeAlias, TypeVar, cast

from typing_extensions import override

from gateway.config.document import Broken, Listing, Node, Scalar
from gateway.config.findings import Findings, did_you_mean, quoted

T = TypeVar("T")
U = TypeVar("U")

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema, draft 2020-12."""

REFERENCE = r"\$\{"
"""Where a value refers to the environment, a schema can't know what it will be."""


class Refused(Exception):
    """The value can't be used; why was reported where it was found out."""


class Unfit(ValueError):
    """A text is no value of its shape; *hint* says what was probably meant."""

    def __init__(self, hint: str | None = None, text: str | None = None) -> None:
        super().__init__(hint)
        self.hint = hint
        self.text = text
        """Replaces "expected ..., got ..." where there is more to say."""


class Shape(ABC, Generic[T]):
    """What a value looks like."""

    expects: str
    """Completes "expected ..."."""

    @abstractmethod
    def read(self, node: Node, at: str, findings: Findings) -> T:
        """Return the value of *node*, which stands under the key *at*.

        Raises:
            Refused: it isn't usable at all; the reason is among *findings*.

        """

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON Schema that accepts the same."""

    def show(self, value: T) -> str:
        """Return *value* as an operator would write it."""
        return str(value)

    def keys_inside(self) -> Collection[str]:
        """Return the keys that a value may have; none when it isn't a table."""
        return ()

    def complain(self, node: Node, at: str, findings: Findings, hint: str | None = None) -> Refused:
        """Report that *node* has another shape, and return what to raise."""
        if isinstance(node, Broken):
            return Refused()
        if isinstance(node, Scalar):
            got = "nothing" if node.is_nothing else quoted(node.text)
        else:
            got = "a list" if isinstance(node, Listing) else "keys with values"
        findings.error(node.place, f"{at}: expected {self.expects}, got {got}", hint)
        return Refused()


class TextShape(Shape[T]):
    """A value written as a piece of text: subclasses say what the text means."""

    @abstractmethod
    def parse(self, text: str) -> T:
        """Return what *text* means.

        Raises:
            Unfit: it means nothing here.

        """

    @override
    def read(self, node: Node, at: str, findings: Findings) -> T:
        if not isinstance(node, Scalar) or node.is_nothing:
            raise self.complain(node, at, findings)
        try:
            return self.parse(node.text)
        except Unfit as error:
            if error.text is None:
                raise self.complain(node, at, findings, error.hint) from error
            findings.error(node.place, f"{at}: {error.text}", error.hint)
            raise Refused from error


def _types(shape: TextShape[Any]) -> str | list[str]:
    """Return what an editor's YAML reader makes of values that *shape* takes unquoted."""
    kinds = ["string"]
    for text, kind in (("12", "integer"), ("1.5", "number"), ("true", "boolean")):
        try:
            shape.parse(text)
        except Unfit:
            continue
        kinds.append(kind)
    return kinds if len(kinds) > 1 else "string"


class Matching(TextShape[str]):
    """A text that a pattern matches whole."""

    def __init__(self, expects: str, pattern: str, hint: str | None = None) -> None:
        self.expects = expects
        self._pattern = re.compile(pattern)
        self._hint = hint

    @override
    def parse(self, text: str) -> str:
        if not self._pattern.fullmatch(text):
            raise Unfit(self._hint)
        return text

    @override
    def schema(self) -> Schema:
        return {
            "type": _types(self),
            "pattern": f"^(?:{self._pattern.pattern})$|{REFERENCE}",
        }


class Parsed(TextShape[T]):
    """A text that a function gives its meaning; it raises `Unfit` where there is none."""

    def __init__(
        self,
        expects: str,
        parse: Callable[[str], T],
        pattern: str | None = None,
        show: Callable[[T], str] = str,
    ) -> None:
        """*pattern* approximates in the schema what *parse* accepts."""
        self.expects = expects
        self._parse = parse
        self._pattern = pattern
        self._show = show

    @override
    def parse(self, text: str) -> T:
        return self._parse(text)

    @override
    def schema(self) -> Schema:
        if self._pattern is None:
            return {"type": _types(self)}
        return {"type": _types(self), "pattern": f"^(?:{self._pattern})$|{REFERENCE}"}

    @override
    def show(self, value: T) -> str:
        return self._show(value)


class Words(TextShape[str]):
    """One of a few words; *other_spellings* maps further ones to the one we use."""

    def __init__(
        self,
        *words: str,
        other_spellings: Mapping[str, str] | None = None,
        other_words: Mapping[str, str] | None = None,
    ) -> None:
        """*other_words* maps words that aren't accepted to the one to suggest."""
        self.words = words
        self.other_words = other_words or {}
        self.spellings = dict.fromkeys(words, "") | dict(other_spellings or {})
        last = f" or {words[-1]}" if len(words) > 1 else words[-1]
        self.expects = ", ".join(words[:-1]) + last

    @override
    def parse(self, text: str) -> str:
        if text not in self.spellings:
            raise Unfit(did_you_mean(text, self.words, self.other_words))
        return self.spellings[text] or text

    @override
    def schema(self) -> Schema:
        # What an editor's YAML reader makes of unquoted words: false of `off`, a number of `1`.
        booleans = [word == "true" for word in self.spellings if word in {"true", "false"}]
        words = [word for word in self.spellings if word not in {"true", "false"}]
        numbers = [int(word) for word in words if word.isdigit()]
        return {
            "anyOf": [
                {"enum": [*words, *booleans, *numbers]},
                {"type": "string", "pattern": REFERENCE},
            ]
        }


class Flag(TextShape[bool]):
    """True or false."""

    expects = "true or false"

    @override
    def parse(self, text: str) -> bool:
        match text.lower():
            case "true":
                return True
            case "false":
                return False
            case "yes" | "on":
                raise Unfit('did you mean "true"?')
            case "no" | "off":
                raise Unfit('did you mean "false"?')
            case _:
                raise Unfit

    @override
    def schema(self) -> Schema:
        words = "^[Tt][Rr][Uu][Ee]$|^[Ff][Aa][Ll][Ss][Ee]$"
        return {
            "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"{words}|{REFERENCE}"}]
        }

    @override
    def show(self, value: bool) -> str:
        return "true" if value else "false"


class Count(TextShape[int]):
    """A whole number, not below *least*."""

    def __init__(self, least: int = 1, most: int = 1_000_000) -> None:
        self._least = least
        self._most = most
        self.expects = f"a whole number from {least} to {most}"

    @override
    def parse(self, text: str) -> int:
        # Written plainly: YAML 1.1 reads 010 as eight and 1_0 as ten, people don't.
        if (
            not re.fullmatch("0|[1-9][0-9]{0,9}", text)
            or not self._least <= int(text) <= self._most
        ):
            raise Unfit
        return int(text)

    @override
    def schema(self) -> Schema:
        number = {"type": "integer", "minimum": self._least, "maximum": self._most}
        return {"anyOf": [number, {"type": "string", "pattern": f"^[0-9]+$|{REFERENCE}"}]}


class WordOr(Shape[T | str]):
    """A word with a meaning of its own, or a value of another shape."""

    def __init__(self, words: Words, other: Shape[T]) -> None:
        self._words = words
        self._other = other
        self.expects = f"{words.expects}, or {other.expects}"

    @override
    def read(self, node: Node, at: str, findings: Findings) -> T | str:
        if isinstance(node, Scalar) and node.text in self._words.spellings:
            return self._words.parse(node.text)
        if isinstance(node, Scalar) and not isinstance(self._other, TextShape):
            raise self.complain(
                node,
                at,
                findings,
                did_you_mean(node.text, self._words.words, self._words.other_words),
            )
        return self._other.read(node, at, findings)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [self._words.schema(), self._other.schema()]}

    @override
    def show(self, value: T | str) -> str:
        if isinstance(value, str) and value in self._words.words:
            return value
        return self._other.show(cast("T", value))

    @override
    def keys_inside(self) -> Collection[str]:
        return self._other.keys_inside()


class TextOr(Shape[T | U]):
    """A value written short as a text, or in full as a table."""

    def __init__(self, short: TextShape[T], table: Shape[U]) -> None:
        self._short = short
        self._table = table
        self.expects = f"{short.expects}, or {table.expects}"

    @override
    def read(self, node: Node, at: str, findings: Findings) -> T | U:
        if isinstance(node, Scalar):
            return self._short.read(node, at, findings)
        return self._table.read(node, at, findings)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [self._short.schema(), self._table.schema()]}

    @override
    def show(self, value: T | U) -> str:
        # Only tables are read from anything but a text.
        if isinstance(value, (str, int, float)):
            return self._short.show(cast("T", value))
        return self._table.show(cast("U", value))

    @override
    def keys_inside(self) -> Collection[str]:
        return self._table.keys_inside()
