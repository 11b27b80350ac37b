"""The commands as an operator and a pre-commit hook run them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GOOD = "version: 1\norigins: {hub: {servers: [http://127.0.0.1:3000]}}\n"


def gateway(*arguments: str, at: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=at,
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_reads_rules_yaml_and_shows_the_policy(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        GOOD + "routes: [{name: blog, match: {path: /blog/*}, cache: {ttl: 1h, scope: public}}]"
    )

    done = gateway("check", at=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "route    line  takes            kept for            shared by  origin",
        "blog     3     /blog/*          1h                  public     hub",
        "default  -     everything else  as the origin says  user       hub",
        "",
        "rules.yaml: 2 routes, 1 origin, no errors, no warnings",
    ]


def test_check_fails_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD + "defaults: {cache: {tll: 1h}}")

    done = gateway("check", "bad.yaml", at=tmp_path)

    assert done.returncode == 1
    assert done.stdout == (
        'bad.yaml:3:20: error: unknown key "tll" in defaults.cache\n'
        "    3 | defaults: {cache: {tll: 1h}}\n"
        '      |                    ^^^ did you mean "ttl"?\n'
        "bad.yaml: 1 error, no warnings\n"
    )


def test_check_speaks_json(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD + "routes: [{match: {path: blog}}]")

    done = gateway("check", "--json", at=tmp_path)

    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["ok"] is False
    assert [(each["line"], each["column"]) for each in answer["findings"]] == [(3, 25)]


def test_check_takes_the_origin_that_serve_would_be_given(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1")

    assert gateway("check", at=tmp_path).returncode == 1
    assert gateway("check", "--origin", "http://127.0.0.1:1", at=tmp_path).returncode == 0


def test_check_tells_of_the_kill_switch(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD)

    done = gateway("check", at=tmp_path, DISABLE_API_CACHE="true")

    assert "nothing under /api is cached" in done.stdout


def test_show_says_which_line_each_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        GOOD + "defaults: {cache: {status_ttl: {404: 10s}}}\n"
        "routes:\n  - {name: blog, match: {path: /blog/*}, cache: {ttl: 1h, scope: public}}\n"
    )

    done = gateway("show", "blog", at=tmp_path)

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "route blog  rules.yaml:5:5",
        "  match.path             /blog/*  rules.yaml:5:32",
        "  origin                 hub      rules.yaml:2:11",
        "  cache.ttl              1h       rules.yaml:5:55",
        "  cache.status_ttl.404   10s      rules.yaml:3:33",
        "  cache.immutable        false    built in",
        "  cache.scope            public   rules.yaml:5:66",
        "  cache.key.query.sort   false    built in",
        "  cache.heuristic        off      built in",
        "  cache.jitter           0%       built in",
        "  cache.early_refresh    false    built in",
        "  cache.whole_for_range  false    built in",
    ]
    assert json.loads(gateway("show", "blog", "--json", at=tmp_path).stdout)["line"] == 5


def test_show_suggests_the_route_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD + "routes: [{name: blog, match: {path: /blog/*}}]")

    done = gateway("show", "blgo", at=tmp_path)

    assert done.returncode == 1
    assert done.stderr == 'rules.yaml: there is no route "blgo"; did you mean "blog"?\n'


def test_schema_prints_the_shipped_schema(tmp_path: Path) -> None:
    done = gateway("schema", at=tmp_path)

    assert done.stdout == (ROOT / "rules.schema.json").read_text("utf-8")


@pytest.mark.parametrize("arguments", [[], ["chek"], ["check", "--jsn"], ["show"]])
def test_arguments_that_make_no_sense_are_explained(arguments: list[str], tmp_path: Path) -> None:
    done = gateway(*arguments, at=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: gateway")
    assert "Traceback" not in done.stderr


def test_serve_stops_at_rules_that_do_not_load(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD + "defaults: {cache: {tll: 1h}}")

    done = gateway("serve", "--rules", "rules.yaml", at=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith('rules.yaml:3:20: error: unknown key "tll"')
