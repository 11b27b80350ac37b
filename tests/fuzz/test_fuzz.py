"""Bytes that nobody thought of, for a moment: `make fuzz` goes on for longer."""

from collections.abc import Iterator
from itertools import combinations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import spec
from tests.config.test_schema import table
from tests.fuzz import __main__ as long
from tests.fuzz import edge_targets
from tests.fuzz.rules_targets import check_rules
from tests.fuzz.target import FOUND, Target, inputs
from tests.fuzz.targets import TARGETS
from tests.fuzz.wire_targets import decoded

# The same examples every time: what else there is to find, `make fuzz` looks for.
EXAMPLES = settings(max_examples=400, derandomize=True, database=None)


@pytest.fixture(scope="module", autouse=True)
def _no_loop_is_left() -> Iterator[None]:
    yield
    edge_targets.world().close()
    edge_targets.world.cache_clear()


@pytest.fixture(params=list(TARGETS.values()), ids=list(TARGETS), scope="module")
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


def test_every_seed_keeps_every_promise(target: Target) -> None:
    for seed in target.seeds:
        target.check(seed)


def test_what_broke_a_promise_once_keeps_it_now(target: Target) -> None:
    for file in target.found():
        target.check(file.read_bytes())


@EXAMPLES
@given(data=st.data())
def test_no_bytes_break_a_promise(target: Target, data: st.DataObject) -> None:
    target.check(data.draw(inputs(target)))


def test_every_input_that_was_kept_belongs_to_a_target() -> None:
    assert {folder.name for folder in FOUND.iterdir() if folder.is_dir()} <= set(TARGETS)


def test_make_fuzz_names_the_targets_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        long.main(["request-heads"])

    assert ended.value.code == 2
    assert "no target 'request-heads': choose from request-head, " in capsys.readouterr().err


# Chunks in all splits.

SHORT = (
    b"3\r\nabc\r\n0\r\n\r\n",
    b"2;a=b\r\nxy\r\n0\r\n\r\n"[:15],
    b"0\r\nA: 1\r\n\r\nrest",
    b"1\r\nx\r\n00\r\n\r\nGE",
    b"2\r\nabc\r\n0\r\n\r\n",
    b"2\nab\n0\n\n",
    b"1\r\nx\n\n0\r\n\r\n",
    b"g\r\nabc\r\n",
    b"3\r\nab\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("coded", SHORT, ids=repr)
def test_a_chunked_body_means_the_same_in_every_possible_split(coded: bytes) -> None:
    whole = decoded(coded, [])
    places = range(1, len(coded))
    found = {
        decoded(coded, list(cuts))
        for count in range(len(coded))
        for cuts in combinations(places, count)
    }

    # What is refused may be refused before it is whole.
    assert found - {None, (b"", b"", decoded(b"", [])[2], False)} <= {whole}  # type: ignore[index]
    assert whole is None or found == {whole}


# Rules made of what the keys take, with something in the wrong place.

_ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, "", "off", "1:30", "010", "10", 10, -1, 1.5, True, [], {}, [[]], {"a": {"b": "c"}}, "*",
     "&x", "!!python/object", "${", "${X", "${X:-${Y}}", "\u202e", "\u0000", "a" * 5000, "1e309",
     "99999999999999999999d", "/%2e%2e/", "{rest", "http://[::1", "unix:", "@", "%", "|", "- a"]
)  # fmt: skip


@st.composite
def _broken(draw: st.DrawFn) -> bytes:
    value = draw(table(spec.ROOT))
    for _ in range(draw(st.integers(0, 2))):
        _break(draw, value)
    flow = draw(st.sampled_from([True, False, None]))
    text: str = yaml.safe_dump(value, allow_unicode=draw(st.booleans()), default_flow_style=flow)
    return text.encode()


def _break(draw: st.DrawFn, value: object) -> None:
    """Put something odd somewhere into *value*."""
    while True:
        if isinstance(value, dict) and value:
            key = draw(st.sampled_from(sorted(value, key=str)))
            if draw(st.booleans()) or not isinstance(value[key], dict | list):
                value[draw(st.sampled_from([key, key, "nonsense", "ttl"]))] = draw(_ODD)
                return
            value = value[key]
        elif isinstance(value, list) and value:
            at = draw(st.integers(0, len(value) - 1))
            if not isinstance(value[at], dict | list):
                value[at] = draw(_ODD)
                return
            value = value[at]
        else:
            return


@settings(EXAMPLES, max_examples=120)
@given(_broken())
def test_rules_with_odd_values_are_used_or_explained(content: bytes) -> None:
    check_rules(content)
