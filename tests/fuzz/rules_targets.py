"""Rules files: any bytes are rules or are explained, and no explanation is a traceback."""

from collections.abc import Iterator
from pathlib import Path

from gateway.config import schema
from gateway.config.build import examine
from gateway.config.findings import Severity, render
from gateway.routing.trpc import Batches
from gateway.wire.fields import NONE
from gateway.wire.message import RequestHead, Target
from tests.fuzz.target import Target as Fuzzed
from tests.fuzz.target import contents

_TESTS = Path(__file__).parent.parent
_ROOT = _TESTS.parent
_HERE = Path("rules.yaml")
ASKED = RequestHead(b"GET", Target(b"/api/x", b"a=b"), 1, b"hub.test", NONE)


def check_rules(data: bytes) -> None:
    if b"include" in data or b"keys" in data:
        # They make the loader read other files of this machine, and those aren't the input.
        data = data.replace(b"include", b"routes").replace(b"keys", b"claim")
    examined = examine(_HERE, {"PORT": "80"}, None, data)
    told = list(examined.findings)
    failed = any(finding.severity is Severity.ERROR for finding in told)
    assert failed == (examined.snapshot is None), "neither rules nor an explanation"
    for finding in told:
        assert finding.text
        assert finding.place is None or (finding.place.line > 0 and finding.place.column > 0)
    text = render(told)
    assert all(each.isprintable() or each == "\n" for each in text), "it could steer a terminal"
    if examined.snapshot is not None:
        assert Batches(examined.snapshot.routes).route(b"GET", ASKED.target, ASKED).name


def words_of(node: object) -> Iterator[str]:
    """Yield every key and every word that the schema names."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "properties" and isinstance(value, dict):
                yield from (f"{name}: " for name in value)
            if key in {"enum", "const", "examples"}:
                yield from (str(each) for each in (value if isinstance(value, list) else [value]))
            yield from words_of(value)
    elif isinstance(node, list):
        for each in node:
            yield from words_of(each)


_SYNTAX = (
    b"\n", b"\n  ", b"\n  - ", b"{", b"}", b"[", b"]", b": ", b", ", b"'", b'"', b"|\n ", b"&a ",
    b"*a", b"!!set ", b"---\n", b"%YAML 9\n", b"? ", b"<<: ", b"${", b"${X:-", b"\t",
    b"\xef\xbb\xbf", b"\xff", b"\x00", b"\xc2\x85", b"10m", b"1KB", b"0", b"-1", b"1e9", b"off",
    b"~", b"[]", b"{}",
    b"9999999999999999999", b"http://a:b", b"/a/*", b"/*/**", b"{rest}", b"{", b"#",
    b"(?P<", b"a{9}",
)  # fmt: skip
TARGETS = (
    Fuzzed(
        "rules",
        check_rules,
        contents(
            [
                *(_TESTS / "config" / "refused").glob("*.yaml"),
                *(_TESTS / "config" / "accepted").glob("*.yaml"),
                _ROOT / "rules.yaml",
            ]
        ),
        (
            *_SYNTAX,
            *sorted({word.encode() for word in words_of(schema.schema())}),
        ),
        8192,
    ),
)
