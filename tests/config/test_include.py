"""Further files: whose routes come where, what they may say, and where their mistakes are."""

from pathlib import Path

import pytest

from gateway.config.build import Examined, examine
from gateway.config.include import MOST_FILES

HEAD = "version: 1\norigins: {o: {servers: http://o}}\ndefaults: {cache: {scope: public}}\n"


def examined(folder: Path, **files: str) -> Examined:
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return examine(folder / "rules.yaml", {"AREA": "x"}, None)


def route(name: str) -> str:
    return f"routes: [{{name: {name}, match: {{path: /{name}}}}}]\n"


def told(found: Examined, folder: Path) -> list[str]:
    return [
        f"{str(each.place).removeprefix(str(folder) + '/')}: {each.text}" for each in found.findings
    ]


def test_routes_come_after_those_of_the_file_that_includes_them(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        rules=HEAD + "include: [b.yaml, a.yaml]\n" + route("r"),
        a=route("a"),
        b="include: sub/c.yaml\n" + route("b"),
        sub__c=route("c"),
    )

    assert [each.route.name for each in found.routes] == ["r", "b", "c", "a", "default"]
    assert set(found.included) == {
        str(tmp_path / each) for each in ("a.yaml", "b.yaml", "sub/c.yaml")
    }


def test_a_route_in_another_file_has_the_defaults_and_its_own_place(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        rules=HEAD + "include: a.yaml",
        a="\n" + route('"${AREA}"').replace('/"${AREA}"', "/x"),
    )

    (first, _) = found.routes
    assert (first.route.name, first.route.cache.scope.value) == ("x", "public")
    assert str(first.place) == f"{tmp_path}/a.yaml:2:10"


def test_mistakes_are_told_where_they_are(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        rules=HEAD + "include: [a.yaml, b.yaml, gone.yaml]\n",
        a="routes: [{match: {path: /a}, cahce: off}]\n",
        b="version: 1\nroutes:\n  - match: {path: b}\n",
    )

    assert told(found, tmp_path) == [
        'a.yaml:1:30: unknown key "cahce" in routes[1]',
        'b.yaml:1:1: unknown key "version"',
        'b.yaml:3:19: routes[1].match.path: "b" can match no path: a path begins with a slash',
        'rules.yaml:4:27: include: "gone.yaml" can\'t be read: No such file or directory',
    ]


def test_an_unreachable_route_names_both_files(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        rules=HEAD + "include: a.yaml\nroutes: [{name: r, match: {path: /a/*}}]\n",
        a="routes: [{name: a, match: {path: /a/b}}]\n",
    )

    (text,) = told(found, tmp_path)
    assert text.startswith('a.yaml:1:10: route "a" can never match: "/a/*" on line 5')


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"rules": "include: rules.yaml\n"}, "is the file that everything begins with"),
        ({"rules": "include: ./sub/../rules.yaml\n"}, "is the file that everything begins with"),
        (
            {"rules": "include: a.yaml\n", "a": "include: rules.yaml\n"},
            "is the file that everything begins with",
        ),
        (
            {"rules": "include: a.yaml\n", "a": "include: b.yaml\n", "b": "include: a.yaml\n"},
            "rules.yaml:4:10 already",
        ),
        ({"rules": "include: [a.yaml, ./a.yaml]\n", "a": route("a")}, "rules.yaml:4:11 already"),
    ],
)
def test_no_file_comes_twice(tmp_path: Path, files: dict[str, str], text: str) -> None:
    (tmp_path / "sub").mkdir()
    found = examined(tmp_path, **{**files, "rules": HEAD + files["rules"]})

    assert found.snapshot is None
    assert any(text in each.text for each in found.findings), list(found.findings)


def test_files_without_end_are_refused(tmp_path: Path) -> None:
    files = {f"f{n}": f"include: f{n + 1}.yaml\n" for n in range(MOST_FILES + 5)}
    found = examined(tmp_path, rules=HEAD + "include: f0.yaml\n", **files)

    assert [each.text for each in found.findings] == [f"more than {MOST_FILES} files are included"]


def test_what_was_read_before_is_taken_as_it_was(tmp_path: Path) -> None:
    before = examined(tmp_path, rules=HEAD + "include: a.yaml\n", a=route("a"))
    (tmp_path / "a.yaml").unlink()

    again = examine(tmp_path / "rules.yaml", {}, None, None, before.included)

    assert [each.route.name for each in again.routes] == ["a", "default"]
