"""The table in docs/caching-rules.md names functions and tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "caching-rules.md"
NAMED = re.compile(r"`([a-z_/]+\.py): (\w+)`")
ROW = re.compile(r"^\| (?!what|section|---).+ \|$", re.MULTILINE)


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_row_of_the_table_names_a_function_and_a_test_that_exist() -> None:
    rows = ROW.findall(PAGE.read_text())

    assert len(rows) > 60
    for row in rows:
        function, test = NAMED.findall(row)
        assert function[1] in defined(ROOT / "gateway" / function[0]), row
        assert test[1] in defined(ROOT / "tests" / test[0]), row
        assert test[1].startswith("test_"), row


def test_every_module_that_decides_has_a_place_in_the_table() -> None:
    named = {path for path, _ in NAMED.findall(PAGE.read_text())}
    values = {"__init__", "rules", "stored"}
    modules = {path.stem for path in (ROOT / "gateway" / "policy").glob("*.py")} - values

    assert {f"policy/{module}.py" for module in modules} <= named
