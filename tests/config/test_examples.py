"""The examples of docs/rules.md and docs/coming-from.md do what their text says."""

import json
import re
import shlex
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.main import main
from gateway.config.build import Examined, examine
from gateway.config.findings import render
from gateway.config.rule_tests import run

DOCS = Path(__file__).parent.parent.parent / "docs"
GUIDE = (DOCS / "rules.md").read_text("utf-8")
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(GUIDE))
EXAMPLES = {title: body for title, body in SECTIONS.items() if re.match(r"\d+\. ", title)}


def keys() -> str:
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    x = urlsafe_b64encode(public).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})


def blocks(body: str, language: str = "yaml") -> list[str]:
    return [content for named, content in BLOCK.findall(body) if named == language]


def good(path: Path) -> Examined:
    """Return what the file comes to: nothing to say against it, and its tests pass."""
    examined = examine(path, {"HUB_JWT_KEYS": keys()}, None)
    assert render(examined.findings) == ""
    assert examined.snapshot is not None
    passed, count = run(examined.tests, examined.snapshot, examined.findings)
    assert render(examined.findings) == ""
    assert passed == count > 0
    return examined


def test_there_are_eleven() -> None:
    assert [title.partition(".")[0] for title in EXAMPLES] == [str(n) for n in range(1, 12)]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_good_and_its_tests_pass(title: str, tmp_path: Path) -> None:
    (content,) = blocks(EXAMPLES[title])
    (tmp_path / "rules.yaml").write_text(content)

    assert len(good(tmp_path / "rules.yaml").tests) >= 2


def test_the_example_of_several_files_is_good(tmp_path: Path) -> None:
    for content in blocks(SECTIONS["Several files"]):
        path = tmp_path / content.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    examined = good(tmp_path / "rules.yaml")
    assert [each.route.name for each in examined.routes] == ["private", "shop", "blog", "default"]


def test_explain_says_what_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(SECTIONS["2. Pages that are the same for everybody"])
    (tmp_path / "rules.yaml").write_text(example)
    monkeypatch.chdir(tmp_path)
    (shown,) = blocks(SECTIONS["Why isn't it cached?"], "console")
    command, _, output = shown.partition("\n")

    assert main(shlex.split(command)[2:]) == 0

    assert capsys.readouterr().out == output


def test_the_guide_names_every_page_that_it_links_to() -> None:
    for page in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (DOCS / page).exists(), page


def test_the_policy_of_those_who_come_from_elsewhere_is_good(tmp_path: Path) -> None:
    (content,) = blocks((DOCS / "coming-from.md").read_text("utf-8"))
    (tmp_path / "rules.yaml").write_text(content)

    assert len(good(tmp_path / "rules.yaml").tests) == 5
