"""The k6 scripts: typed, and the same test as the k9 scripts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from loadtest.definition import definition, options_for
from tests.loadtest.javascript import K6, TSC, install, node

CASES = [
    pytest.param(test, profile, scale, id=f"{test}-{profile}-{scale:g}")
    for test, described in definition().tests.items()
    for profile in described.profiles
    for scale in (1.0, 0.37, 12.5)
]
COMMANDS = {"dashboard": "dashboard", "api_stress": "api-stress"}


async def in_javascript(expression: str) -> Any:
    """Return what *expression* comes to, with `options` the module and `numbers` the file."""
    program = (
        'import fs from "node:fs"; import * as options from "./options.js";'
        'const numbers = JSON.parse(fs.readFileSync("../profiles.json", "utf8"));'
        f"console.log(JSON.stringify({expression}))"
    )
    return json.loads(await node("--input-type=module", "--eval", program))


async def test_the_scripts_have_no_type_errors() -> None:
    await install()

    output = await node(TSC, "--project", ".")

    assert output == ""


async def test_a_type_error_would_be_found(tmp_path: Path) -> None:
    await install()
    (tmp_path / "wrong.js").write_text(
        f'import {{ optionsFor }} from "{K6}/options.js";\noptionsFor(1, 2, 3);\n'
    )
    project = {
        "extends": f"{K6}/tsconfig.json",
        "compilerOptions": {"typeRoots": [f"{K6}/node_modules/@types"]},
        "include": ["wrong.js"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))

    with pytest.raises(AssertionError, match=r"wrong\.js\(2,"):
        await node(TSC, "--project", tmp_path)


@pytest.mark.parametrize(("test", "profile", "scale"), CASES)
async def test_k6_and_k9_are_given_the_same_options(test: str, profile: str, scale: float) -> None:
    arguments = f"numbers, {json.dumps(test)}, {json.dumps(profile)}, {scale}"

    theirs = await in_javascript(f"options.optionsFor({arguments})")

    assert theirs == options_for(test, profile, scale)


async def test_a_breakdown_adds_only_thresholds_that_always_hold() -> None:
    plain = await in_javascript('options.optionsFor(numbers, "dashboard", "smoke", 1)')

    detailed = await in_javascript(
        'options.withBreakdown(options.optionsFor(numbers, "dashboard", "smoke", 1), ["asset"])'
    )

    added = {
        name: each
        for name, each in detailed["thresholds"].items()
        if name not in plain["thresholds"]
    }
    assert added["answer_duration{endpoint:asset}"] == ["max>=0"]
    assert added["answer_duration{cache:HIT}"] == ["max>=0"]
    assert {tuple(each) for each in added.values()} == {("max>=0",)}
    assert detailed["scenarios"] == plain["scenarios"]


@pytest.mark.parametrize("test", list(COMMANDS))
def test_both_scripts_have_a_function_for_every_scenario(test: str) -> None:
    script = (K6 / f"{COMMANDS[test]}.js").read_text()
    python = (K6.parent / f"{test}.py").read_text()

    for scenario in definition().test(test).scenarios:
        assert re.search(rf"^export function {scenario}\(data\)", script, re.MULTILINE)
        assert re.search(rf"^async def {scenario}\(data: Data\)", python, re.MULTILINE)


def test_both_languages_add_to_the_same_metrics() -> None:
    used = {
        language: {
            name
            for file in files
            for name in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', file.read_text())
            if name in definition().metrics
        }
        for language, files in (
            ("JavaScript", sorted(K6.glob("*.js"))),
            ("Python", sorted(K6.parent.glob("*.py"))),
        )
    }

    assert used["JavaScript"] == set(definition().metrics)
    assert used["Python"] == set(definition().metrics)
