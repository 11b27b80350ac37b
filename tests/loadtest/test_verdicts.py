"""What a report says, how two runs compare, and the success table."""

import re
from pathlib import Path

import msgspec
import pytest

from loadtest import compare, record, report, slo
from loadtest.__main__ import main
from loadtest.record import Delivery, Run, SlowestQuery
from loadtest.slo import CrowdResult, Goal, Verdict
from tests.loadtest.runs import answer, gateway_reading, run, sample

STEADY = [answer(10 + place % 5, second=place % 30) for place in range(600)]
SLOW = [answer(40 + place % 5, second=place % 30) for place in range(600)]
WEIGHED = Delivery(100_000, 30_000, 90_000, ("image/avif", "image/webp"))


def row(rows: list[Goal], name: str) -> Goal:
    return next(each for each in rows if each.name == name)


def kept(folder: Path, name: str, result: Run) -> str:
    (folder / name).mkdir()
    record.write(result, folder / name)
    return str(folder / name)


def test_a_report_needs_nothing_from_elsewhere() -> None:
    page = report.page(run(STEADY, gateway=gateway_reading(), delivery=WEIGHED))

    assert re.findall(r"<(?:script|link|img|iframe)\b", page) == []
    assert re.findall(r"""(?:src|href|url)\s*[=(]""", page) == []
    assert page.count("<svg") == 3
    assert "passed" in page


def test_a_report_escapes_what_it_is_told() -> None:
    page = report.page(run([*STEADY, answer(1, endpoint="<script>alert(1)</script>")]))

    assert "<script>alert" not in page


def test_a_report_without_a_single_answer_is_still_a_report() -> None:
    page = report.page(run([sample("http_reqs", 1, name="login", status="0", error="refused")]))

    assert "refused" in page


def test_a_broken_threshold_is_told_with_what_was_measured() -> None:
    text = report.text(run(STEADY, broken=("rate>0.7",)))

    assert "BROKEN  cache_hit_rate: rate>0.7   80.00%" in text
    assert "holds   http_req_duration: p(95)<500   30.00 ms" in text


def test_a_run_is_kept_and_read_again(tmp_path: Path) -> None:
    before = run(STEADY, gateway=gateway_reading(), delivery=WEIGHED)

    assert record.read(Path(kept(tmp_path, "a", before))) == before


def test_a_slower_run_is_found_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast, slow = kept(tmp_path, "fast", run(STEADY)), kept(tmp_path, "slow", run(SLOW))

    worse, better, same = (
        main(["compare", *pair]) for pair in ((fast, slow), (slow, fast), (fast, fast))
    )

    assert (worse, better, same) == (99, 0, 0)
    printed = capsys.readouterr().out
    assert re.search(r"^p95 .*WORSE$", printed, re.MULTILINE)
    assert re.search(r"^endpoint home: p95 .*WORSE$", printed, re.MULTILINE)


def test_a_few_milliseconds_are_no_difference() -> None:
    quick = run([answer(1, second=place % 30) for place in range(600)])
    still_quick = run([answer(3, second=place % 30) for place in range(600)])

    assert not any(each.worse for each in compare.differences(quick, still_quick))


def test_runs_that_differ_in_more_than_their_time_are_compared_with_caution() -> None:
    one = run(STEADY)
    other = msgspec.structs.replace(one, engine="k6 1.8.1", scale=2.0, load=3.5)

    assert compare.cautions(one, one) == []
    assert compare.cautions(one, other) == [
        "the scale differs: 1.0, 2.0",
        "the engine differs: k9 0.1.0, k6 1.8.1",
        "the machine was busy with more: load 0.0, 3.5",
    ]


def test_more_errors_and_fewer_hits_are_worse() -> None:
    failing = run([*STEADY, *(sample("error_rate", 1, endpoint="home") for _ in range(60))])
    missing = run([answer(11, second=place % 30, cache="MISS") for place in range(600)])

    worse = [
        {each.what for each in compare.differences(run(STEADY), other) if each.worse}
        for other in (failing, missing)
    ]

    assert worse == [{"error rate"}, {"hit rate"}]


def test_comparing_with_what_is_no_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text("{}")

    assert main(["compare", str(tmp_path), str(tmp_path / "nowhere")]) == 1
    assert "not a run of this program" in capsys.readouterr().err


def test_the_success_table_has_the_rows_of_the_brief() -> None:
    rows = slo.goals(run(STEADY))

    assert [(each.name, each.target) for each in rows] == [
        ("P95 API response time", "< 300 ms"),
        ("P99 API response time", "< 500 ms"),
        ("database query P95", "< 100 ms"),
        ("cache hit rate", "> 70%"),
        ("load test capacity", "100,000 users"),
        ("auto-scaling response", "< 60 s"),
        ("compression ratio", "> 60%"),
        ("CDN hit rate", "> 80%"),
        ("bundle size", "< 300 KB"),
        ("image optimization", "WebP/AVIF"),
    ]


def test_what_a_run_cannot_know_is_not_claimed() -> None:
    unknown = {each.name for each in slo.goals(run(STEADY)) if each.verdict is Verdict.UNKNOWN}

    assert unknown == {
        "database query P95",
        "load test capacity",
        "auto-scaling response",
        "compression ratio",
        "CDN hit rate",
        "bundle size",
        "image optimization",
    }


def test_good_figures_pass_and_bad_ones_fail() -> None:
    crowd = CrowdResult(held=100_000, p95_ms=5, errors=0, requests=1000)
    good = slo.goals(run(STEADY, gateway=gateway_reading(), delivery=WEIGHED), crowd)
    heavy = Delivery(100_000, 90_000, 400_000, ("image/png", "image/png"))
    bad = slo.goals(
        run(
            [answer(10, cache="MISS")] * 100,
            api_p95=400,
            gateway=gateway_reading(public_hit_rate=0.5),
            delivery=heavy,
        ),
        CrowdResult(held=60_000, p95_ms=5, errors=0, requests=1000),
    )

    assert {each.verdict for each in good} == {Verdict.PASS, Verdict.UNKNOWN}
    assert row(good, "auto-scaling response").verdict is Verdict.UNKNOWN
    failed = {each.name for each in bad if each.verdict is Verdict.FAIL}
    assert failed == {each.name for each in bad} - {"database query P95", "auto-scaling response"}


def test_a_slow_origin_proves_nothing_about_the_database() -> None:
    slow = run(STEADY, gateway=gateway_reading(origin_p95_ms=300))

    assert row(slo.goals(slow), "database query P95").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("p95_ms", "verdict"), [(30.0, Verdict.PASS), (130.0, Verdict.FAIL)], ids=["quick", "slow"]
)
def test_the_slowest_query_speaks_for_the_database(p95_ms: float, verdict: Verdict) -> None:
    slowest = SlowestQuery("issues", p95_ms, 400)
    told = msgspec.structs.replace(run(STEADY), slowest_query=slowest)

    goal = row(slo.goals(told), "database query P95")

    assert goal.verdict is verdict
    assert "issues" in goal.how


def test_slo_ends_with_99_when_an_aim_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = (
        kept(tmp_path, name, run(STEADY, api_p95=p95)) for name, p95 in (("a", 20.0), ("b", 900.0))
    )

    nowhere = ("--crowd", str(tmp_path / "never ran"))

    statuses = [main(["slo", *which, *nowhere]) for which in ((good,), (bad,), (good, "--strict"))]

    assert statuses == [0, 99, 99]
    assert "P95 API response time" in capsys.readouterr().out
