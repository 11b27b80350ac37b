"""YAML, read strictly: text with places, before anything is known about rules.

Every scalar stays text, so that nothing here turns `off` into false, `1:30` into 90 or
`010` into 8; what a text means is for the key to say that it stands under. A small part
of YAML is enough for rules, and the rest is refused by name: tags, anchors and aliases
(one line of them can expand to gigabytes), keys that aren't scalars, repeated keys,
several documents in one file, files beyond `LARGEST_BYTES`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from gateway.config.environment import NotExpanded, expand
from gateway.config.findings import Findings, Place, Source, quoted

LARGEST_BYTES = 1 << 20
DEEPEST = 32
"""Rules nest six deep; more is an accident or an attack."""

# libyaml, where the wheel has it: 10,000 routes are read in a second instead of half a minute.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML has no place for (YAML 1.2 section 5.1)."""
_QUOTED = frozenset({"'", '"', "|", ">"})
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """A piece of text."""

    text: str
    place: Place
    quoted: bool = False

    @property
    def is_nothing(self) -> bool:
        """Was there no value, or YAML's word for none?"""
        return not self.quoted and self.text in _NOTHING


@dataclass(frozen=True, slots=True)
class Listing:
    """Items in order."""

    items: "tuple[Node, ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Mapped:
    """Keys with their values, in order; no key twice."""

    entries: "tuple[tuple[Scalar, Node], ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that was reported already: nothing more is said about it."""

    place: Place


Node: TypeAlias = Scalar | Listing | Mapped | Broken


@dataclass(slots=True)
class _Open:
    """A list or a mapping whose end hasn't come yet."""

    place: Place
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    key: Node | None = None
    """The key whose value comes next."""
    keys: dict[str, int] = field(default_factory=dict)
    """The line on which each key stands."""


def parse(
    content: bytes, name: str, environ: Mapping[str, str], findings: Findings
) -> tuple[Source, Node | None]:
    """Return the lines of a file and its one document; None when it can't be read at all.

    What is wrong goes to *findings*; references to *environ* are expanded in values.
    """
    text = _decoded(content, name, findings)
    source = Source(name, tuple((text or "").splitlines()))
    if text is None:
        return source, None
    try:
        return source, _compose(yaml.parse(text, Loader=_LOADER), source, environ, findings)
    except yaml.MarkedYAMLError as error:
        findings.error(_place_of_error(error, source), *_explained(error))
    except yaml.YAMLError as error:
        findings.error(Place(source, 1, 1), f"this is not YAML: {error}")
    return source, None


def _decoded(content: bytes, name: str, findings: Findings) -> str | None:
    if len(content) > LARGEST_BYTES:
        findings.error(
            Place(Source(name, ()), 1, 1),
            "the file has more than 1MB, the most that rules may have",
        )
        return None
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        findings.error(
            _place_of_byte(content, error.start, name),
            f"the byte 0x{content[error.start]:02X} is no UTF-8",
            "save the file as UTF-8",
        )
        return None
    unreadable = _UNREADABLE.search(text)
    if unreadable is not None:
        findings.error(
            _place_of_byte(content, len(text[: unreadable.start()].encode()), name),
            f"a control character (0x{ord(unreadable[0]):02X})",
            "remove it",
        )
        return None
    return text


def _place_of_byte(content: bytes, offset: int, name: str) -> Place:
    before = content[:offset].decode("utf-8", "replace")
    lines = tuple(content.decode("utf-8", "replace").splitlines())
    return Place(Source(name, lines), before.count("\n") + 1, len(before) - before.rfind("\n"))


def _place_of_error(error: yaml.MarkedYAMLError, source: Source) -> Place:
    mark = error.problem_mark
    if mark is None or mark.line >= len(source.lines):
        mark = error.context_mark  # the file ends too early: show what was left open
    if mark is None:
        return Place(source, 1, 1)
    return Place(source, mark.line + 1, mark.column + 1)


def _explained(error: yaml.MarkedYAMLError) -> tuple[str, str | None]:
    problem = error.problem or "unreadable"
    text = f"this is not YAML: {problem}"
    if error.context:
        text += f" ({error.context})"
    if "cannot start any token" in problem:
        return text, "indent with spaces, and quote a value that begins with @, ` or %"
    if "mapping values are not allowed" in problem:
        return text, "quote a value that has a colon and a space, and check the indentation"
    return text, None


def _compose(
    events: Iterator[yaml.Event],
    source: Source,
    environ: Mapping[str, str],
    findings: Findings,
) -> Node | None:
    """Build nodes from *events*; a stack instead of recursion, so depth costs no frames."""
    root: Node | None = None
    documents = 0
    stack: list[_Open] = []
    for event in events:
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    findings.error(
                        _place(event, source),
                        "a second document begins here",
                        "rules are one document: remove this line",
                    )
                    return root
            case yaml.ScalarEvent() | yaml.AliasEvent():
                as_key = bool(stack) and stack[-1].is_mapping and stack[-1].key is None
                node = _leaf(event, source, {} if as_key else environ, findings, as_key=as_key)
                if stack:
                    _add(stack[-1], node, findings)
                else:
                    root = node
            case yaml.CollectionStartEvent():
                place = _place(event, source)
                _refuse_tag_and_anchor(event, place, findings)
                if len(stack) >= DEEPEST:
                    findings.error(place, f"nested more than {DEEPEST} deep")
                    return None
                stack.append(_Open(place, isinstance(event, yaml.MappingStartEvent)))
            case yaml.CollectionEndEvent():
                closed = stack.pop()
                made: Node = (
                    Mapped(tuple(closed.entries), closed.place)
                    if closed.is_mapping
                    else Listing(tuple(closed.items), closed.place)
                )
                if stack:
                    _add(stack[-1], made, findings)
                else:
                    root = made
            case _:
                pass
    return root


def _place(event: yaml.Event, source: Source) -> Place:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    width = 1
    if isinstance(event, yaml.ScalarEvent | yaml.AliasEvent) and end.line == start.line:
        width = max(1, end.column - start.column)
    return Place(source, start.line + 1, start.column + 1, width)


def _refuse_tag_and_anchor(
    event: yaml.ScalarEvent | yaml.CollectionStartEvent, place: Place, findings: Findings
) -> bool:
    if event.tag is not None:
        findings.error(
            place, f"the tag {quoted(event.tag)} is not allowed", "remove it: a key knows its type"
        )
    if event.anchor is not None:
        findings.error(
            place,
            f'the anchor "&{event.anchor}" is not allowed',
            'put what routes share under "defaults"',
        )
    return event.tag is None and event.anchor is None


def _leaf(
    event: yaml.ScalarEvent | yaml.AliasEvent,
    source: Source,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    as_key: bool,
) -> Node:
    place = _place(event, source)
    if isinstance(event, yaml.AliasEvent):
        findings.error(
            place,
            f'the alias "*{event.anchor}" is not allowed',
            'put what routes share under "defaults"; quote a text that begins with an asterisk',
        )
        return Broken(place)
    if not _refuse_tag_and_anchor(event, place, findings):
        return Broken(place)
    is_quoted = event.style in _QUOTED
    if as_key:
        return Scalar(event.value, place, is_quoted)
    try:
        return Scalar(expand(event.value, environ), place, is_quoted)
    except NotExpanded as error:
        findings.error(_inside(place, event, error), str(error), error.hint)
        return Broken(place)


def _inside(place: Place, event: yaml.ScalarEvent, error: NotExpanded) -> Place:
    """Return the place of the reference itself where the scalar is written as it reads."""
    line = place.source.lines[place.line - 1]
    reference = event.value[error.start : error.end]
    column = line.find(reference, place.column - 1, place.column - 1 + place.width)
    if column < 0:
        return place
    return Place(place.source, place.line, column + 1, len(reference))


def _add(to: _Open, node: Node, findings: Findings) -> None:
    if not to.is_mapping:
        to.items.append(node)
        return
    if to.key is None:
        to.key = node
        return
    key, to.key = to.key, None
    if isinstance(key, Broken):
        return
    if not isinstance(key, Scalar):
        findings.error(key.place, "a key must be plain text, not a list or a mapping")
        return
    first = to.keys.get(key.text)
    if first is not None:
        findings.error(
            key.place, f"the key {quoted(key.text)} is repeated", f"it stands on line {first} too"
        )
        return
    to.keys[key.text] = key.place.line
    to.entries.append((key, node))
