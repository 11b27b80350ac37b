"""Lists, maps and tables of settings: where the rules' values stand, and how they merge.

What was read keeps its places, so that a later stage can point at the line that it finds
fault with, and `gateway show` can say where each value comes from.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from typing_extensions import override

from gateway.config.document import Listing, Mapped, Node, Scalar
from gateway.config.findings import Findings, Place, did_you_mean, quoted
from gateway.config.shapes import Refused, Schema, Shape, TextShape

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """A value and where it was written."""

    value: T
    place: Place


class ListOf(Shape[tuple[Setting[T], ...]]):
    """Values of one shape in order, each with its place; one alone needs no brackets.

    With *brackets*, one alone isn't taken for a list.
    """

    def __init__(self, item: Shape[T], expects: str, *, brackets: bool = False) -> None:
        self._item = item
        self._brackets = brackets
        self.expects = expects

    @override
    def read(self, node: Node, at: str, findings: Findings) -> tuple[Setting[T], ...]:
        if not isinstance(node, Listing):
            if self._brackets or (isinstance(node, Scalar) and node.is_nothing):
                raise self.complain(node, at, findings)
            return (Setting(self._item.read(node, at, findings), node.place),)
        if not node.items:
            findings.error(node.place, f"{at}: the list is empty", f"expected {self.expects}")
            raise Refused
        found = []
        for position, item in enumerate(node.items, start=1):
            try:
                value = self._item.read(item, f"{at}[{_label(item, position)}]", findings)
            except Refused:
                continue
            found.append(Setting(value, item.place))
        return tuple(found)

    @override
    def schema(self) -> Schema:
        several = {"type": "array", "items": self._item.schema(), "minItems": 1}
        return several if self._brackets else {"anyOf": [self._item.schema(), several]}

    @override
    def show(self, value: tuple[Setting[T], ...]) -> str:
        return "[" + ", ".join(self._item.show(item.value) for item in value) + "]"


class MapOf(Shape[Mapping[str, Setting[T]]]):
    """Values of one shape under names that the operator chooses."""

    def __init__(
        self, name: TextShape[str], value: Shape[T], expects: str, *, any_case: bool = False
    ) -> None:
        """With *any_case*, two names that differ in case alone are the same, and one too many."""
        self._any_case = any_case
        self._name = name
        self._value = value
        self.expects = expects

    @override
    def read(self, node: Node, at: str, findings: Findings) -> Mapping[str, Setting[T]]:
        if not isinstance(node, Mapped):
            raise self.complain(node, at, findings)
        found: dict[str, Setting[T]] = {}
        lines: dict[str, int] = {}
        for key, value in node.entries:
            try:
                name = self._name.read(key, at, findings)
                if self._any_case:
                    first = lines.get(name.lower())
                    if first is not None:
                        findings.error(
                            key.place,
                            f"{at}: the field {quoted(name)} is repeated",
                            f"it stands on line {first} too; case doesn't matter in field names",
                        )
                        continue
                    lines[name.lower()] = key.place.line
                found[name] = Setting(self._value.read(value, f"{at}.{name}", findings), key.place)
            except Refused:
                continue
        return found

    @override
    def schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": self._name.schema(),
            "additionalProperties": self._value.schema(),
        }

    def show_one(self, value: T) -> str:
        """Return one of the values as an operator would write it."""
        return self._value.show(value)

    @override
    def show(self, value: Mapping[str, Setting[T]]) -> str:
        shown = (f"{name}: {self._value.show(one.value)}" for name, one in value.items())
        return "{" + ", ".join(shown) + "}"


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """A key that operators write, declared once."""

    name: str
    shape: Shape[T]
    about: str
    """What it does, in a sentence: the manual and the editor show it."""
    default: str | None = None
    """What holds when the key is absent, as it would be written."""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What one table says: the keys that were written, each with its place."""

    place: Place
    shape: "Table"
    values: Mapping[str, Setting[Any]] = field(default_factory=dict)

    def get(self, key: Key[T]) -> T | None:
        """Return the value written under *key*; None when it wasn't written."""
        found = self.values.get(key.name)
        return None if found is None else cast("T", found.value)

    def place_of(self, key: Key[Any]) -> Place:
        """Return where the value under *key* stands, or where the table does without it."""
        found = self.values.get(key.name)
        return self.place if found is None else found.place

    def each(self) -> Iterator[tuple[Key[Any], Setting[Any]]]:
        """Yield the keys that were written, in the order of their declaration."""
        for key in self.shape.keys:
            if key.name in self.values:
                yield key, self.values[key.name]


class Table(Shape[Settings]):
    """Fixed keys, each with a shape of its own."""

    expects = "keys with values"

    def __init__(
        self,
        *keys: Key[Any],
        title: str = "",
        other_words: Mapping[str, str] | None = None,
        refused: Mapping[str, str] | None = None,
        one_of: Collection[str] = (),
    ) -> None:
        """Declare the keys of a table.

        *other_words* maps what other products call a key to what it is called here;
        *refused* maps keys that nobody shall have to the reason. Of *one_of*, the schema
        allows one at most; who builds from the table says so with more words.
        """
        self._one_of = tuple(one_of)
        self._refused = refused or {}
        self.keys = keys
        self._by_name = {key.name: key for key in keys}
        self._other_words = other_words or {}
        self.title = title

    @override
    def read(self, node: Node, at: str, findings: Findings) -> Settings:
        if not isinstance(node, Mapped):
            raise self.complain(node, at or "the file", findings, f"known here: {self._known()}")
        values: dict[str, Setting[Any]] = {}
        seen = set()
        for name, value in node.entries:
            key = self._by_name.get(name.text)
            if key is None:
                where = f" in {at}" if at else ""
                findings.error(
                    name.place, f"unknown key {quoted(name.text)}{where}", self._hint(name.text)
                )
                continue
            seen.add(key.name)
            try:
                read = key.shape.read(value, f"{at}.{key.name}" if at else key.name, findings)
            except Refused:
                continue
            values[key.name] = Setting(read, value.place)
        missing = [key for key in self.keys if key.required and key.name not in seen]
        if missing:
            names = ", ".join(quoted(key.name) for key in missing)
            findings.error(
                node.place,
                f"{at or 'the file'}: {names} {'is' if len(missing) == 1 else 'are'} missing",
                f"{missing[0].name}: {missing[0].about}",
            )
        return Settings(node.place, self, values)

    def _hint(self, name: str) -> str:
        if name in self._refused:
            return self._refused[name]
        for key in self.keys:
            if name in key.shape.keys_inside():
                return f'did you mean "{key.name}.{name}"?'
        return (
            did_you_mean(name, self._by_name, self._other_words) or f"known here: {self._known()}"
        )

    @override
    def keys_inside(self) -> Collection[str]:
        return self._by_name.keys()

    def _known(self) -> str:
        return ", ".join(self._by_name)

    @override
    def schema(self) -> Schema:
        schema: Schema = {"type": "object", "additionalProperties": False}
        if self.title:
            schema["title"] = self.title
        schema["properties"] = {key.name: _described(key) for key in self.keys}
        required = [key.name for key in self.keys if key.required]
        if required:
            schema["required"] = required
        if self._one_of:
            pairs = itertools.combinations(self._one_of, 2)
            schema["allOf"] = [{"not": {"required": list(pair)}} for pair in pairs]
        return schema

    @override
    def show(self, value: Settings) -> str:
        shown = (f"{key.name}: {key.shape.show(one.value)}" for key, one in value.each())
        return "{" + ", ".join(shown) + "}"


def merged(base: Settings, over: Settings) -> Settings:
    """Return *over* on top of *base*: key by key, tables and maps merged, lists replaced."""
    values = dict(base.values)
    for name, setting in over.values.items():
        below = values.get(name)
        match (below and below.value), setting.value:
            case Settings() as old, Settings() as new:
                values[name] = Setting(merged(old, new), setting.place)
            case dict() as old, dict() as new:
                values[name] = Setting(old | new, setting.place)
            case _:
                values[name] = setting
    return Settings(over.place, over.shape, values)


def _described(key: Key[Any]) -> Schema:
    about = key.about if key.default is None else f"{key.about} Default: {key.default}."
    return {"description": about, **key.shape.schema()}


def _label(node: Node, position: int) -> str:
    """Return what to call an item of a list: its name where it has one."""
    if isinstance(node, Mapped):
        for key, value in node.entries:
            if key.text == "name" and isinstance(value, Scalar) and value.text.isprintable():
                return value.text[:64]
    return str(position)
