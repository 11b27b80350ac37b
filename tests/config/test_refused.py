"""What the loader refuses: each file in refused/ beside what an operator is told."""

from pathlib import Path

import pytest

from gateway.config.build import examine, load
from gateway.config.document import LARGEST_BYTES
from gateway.config.findings import Severity, render
from gateway.errors import ConfigurationError

HERE = Path(__file__).parent
REFUSED = sorted((HERE / "refused").glob("*.yaml"))


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_refused_file_is_explained(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    examined = examine(Path(path.name), {}, None)

    assert render(examined.findings) + "\n" == path.with_suffix(".txt").read_text("utf-8")
    assert examined.snapshot is None


def test_every_refused_file_has_its_message_and_no_message_is_left_over() -> None:
    messages = {path.stem for path in (HERE / "refused").glob("*.txt")}

    assert {path.stem for path in REFUSED} == messages


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    findings = list(examine(HERE / "several_mistakes.yaml", {}, None).findings)

    assert [finding.place and finding.place.line for finding in findings] == [3, 5, 5, 7, 8]
    assert {finding.severity for finding in findings} == {Severity.ERROR}


def test_load_raises_with_the_same_text() -> None:
    path = HERE / "several_mistakes.yaml"

    with pytest.raises(ConfigurationError) as raised:
        load(path, {}, None)

    assert str(raised.value) == render(examine(path, {}, None).findings)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml can't be read: No such file"):
        load(Path("nowhere.yaml"), {}, None)


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"version: 1\n" + b"#" * LARGEST_BYTES)

    with pytest.raises(ConfigurationError, match=r"rules\.yaml:1:1: .* more than 1MB"):
        load(path, {}, None)


def test_aliases_that_would_explode_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    path.write_text("\n".join(lines))

    with pytest.raises(ConfigurationError, match="is not allowed"):
        load(path, {}, None)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("version: 1\nroutes: " + "[" * 500 + "]" * 500)

    with pytest.raises(ConfigurationError, match="nested more than 32 deep"):
        load(path, {}, None)


def test_a_long_line_is_shown_around_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"version: 1\ndefaults: {{{' ' * 400}cache: {{tll: 60s}}{' ' * 400}}}\n")

    (finding,) = examine(path, {}, "http://127.0.0.1:1").findings
    _, source, caret = finding.render().splitlines()

    assert len(source) < 200
    assert source[caret.index("^") :].startswith("tll")


def test_what_could_steer_a_terminal_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('version: 1\n"\\e[2Jx": 1\n"\\u202Ey": 2\n')

    assert "\x1b" not in render(examine(path, {}, None).findings)
    assert "\u202e" not in render(examine(path, {}, None).findings)


@pytest.mark.parametrize("value", ["maybe", "2"])
def test_a_kill_switch_that_says_neither_yes_nor_no_is_an_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match="DISABLE_API_CACHE: expected true or false"):
        load(
            HERE / "accepted/only_a_version.yaml", {"DISABLE_API_CACHE": value}, "http://127.0.0.1"
        )


@pytest.mark.parametrize("origin", ["127.0.0.1:3000", "ftp://x", "http://", "http://a/b"])
def test_an_origin_flag_that_is_no_url_is_an_error(origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^error: --origin: "):
        load(HERE / "accepted/only_a_version.yaml", {}, origin)
