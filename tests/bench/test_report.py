"""The table, the aims and the JSON, from figures made up."""

import pytest

from bench.__main__ import check
from bench.cases import CASES, Aim, Case, Path
from bench.load import Load
from bench.peers import WrongAnswer
from bench.report import Measured, Outcome, Unusable, as_json, judge, ratio, table

SAME = CASES[0]
MISSING = Unusable("missing: varnishd is not installed")


def load(requests: int, **changed: float) -> Load:
    values = {
        "seconds": 1.0,
        "received_bytes": requests * 1200,
        "p50_ms": 0.5,
        "p99_ms": 1.5,
        "socket_errors": 0,
        "bad_statuses": 0,
    }
    return Load(requests, **{**values, **changed})  # type: ignore[arg-type]


def measured(*requests: int) -> Measured:
    return Measured(tuple(load(each) for each in requests), tuple(1.0 for _ in requests))


def busy(cpu: float) -> Measured:
    return Measured((load(1000),), (cpu,))


def outcomes(**changed: Outcome) -> dict[str, Outcome]:
    return {
        "gateway": measured(200_000),
        "nginx": measured(100_000),
        "haproxy": measured(160_000),
        "varnish": MISSING,
        **changed,
    }


def test_the_median_of_the_rounds_is_what_counts() -> None:
    assert measured(90, 10, 50).requests_per_second == 50


def test_the_ratio_is_ours_to_theirs() -> None:
    assert ratio(outcomes(), "nginx") == 2.0
    assert ratio(outcomes(), "varnish") is None
    assert ratio(outcomes(gateway=Unusable("did not start: x")), "nginx") is None


def test_the_table_names_what_is_missing() -> None:
    lines = table(SAME, outcomes()).splitlines()

    assert lines[0] == "same: 1 KB hit, identical heads"
    assert lines[2].split() == ["gateway", "200,000", "0.50", "1.50", "200,000"]
    assert lines[3].split() == ["nginx", "100,000", "0.50", "1.50", "100,000", "2.00x"]
    assert lines[5].split(maxsplit=1) == ["varnish", "missing: varnishd is not installed"]


def test_the_table_says_when_a_server_was_not_what_bounded_it() -> None:
    assert "bounded elsewhere: used 40% of its core" in table(SAME, outcomes(nginx=busy(0.4)))


def test_a_second_of_cpu_counts_the_same_when_a_server_had_to_wait() -> None:
    assert busy(0.5).per_cpu_second == 2 * busy(1.0).per_cpu_second


def test_an_aim_is_judged_by_the_best_peer() -> None:
    results = {"same": outcomes()}

    assert judge(Aim("same", 1.25), results) == (
        "same >= 1.25 x best peer: met, 1.25 x haproxy "
        "(1.25 x for each second of CPU); without varnish"
    )
    assert "NOT met, 1.25 x haproxy" in judge(Aim("same", 1.3), results)


def test_an_aim_may_name_its_peer() -> None:
    assert judge(Aim("same", 2.0, peer="nginx"), {"same": outcomes()}) == (
        "same >= 2.0 x nginx: met, 2.00 x nginx (2.00 x for each second of CPU)"
    )


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({}, "the case was not run"),
        ({"same": outcomes(gateway=Unusable("did not start: x"))}, "gateway: did not start: x"),
        ({"same": {"gateway": measured(1), "nginx": MISSING}}, "no peer was measured"),
    ],
    ids=["no case", "no gateway", "no peer"],
)
def test_an_aim_that_cannot_be_judged_says_why(
    results: dict[str, dict[str, Outcome]], why: str
) -> None:
    assert judge(Aim("same", 1.3), results) == f"same >= 1.3 x best peer: not judged, {why}"


def test_the_json_names_what_is_missing_in_each_place() -> None:
    document = as_json(
        machine={},
        run={},
        versions={"gateway": "1", "nginx": "1.22", "haproxy": "2.6", "varnish": None},
        cases=CASES,
        results={"same": outcomes()},
        aims=["an aim"],
    )

    assert document["missing"] == ["varnish"]
    assert list(document["cases"]) == ["same"]
    servers = document["cases"]["same"]["servers"]
    assert servers["varnish"] == {"unusable": MISSING.reason}
    assert servers["nginx"]["requests_per_second"] == 100_000
    assert servers["nginx"]["gateway_is"] == 2.0


HIT = Case("hit", "", "/1k", 1024)
PASS = Case("pass", "", "/pass", 1024, path=Path.PASS)


@pytest.mark.parametrize(
    ("case", "result", "heard", "wrong"),
    [
        (HIT, load(1000, bad_statuses=3), 0, "3 responses of 400 and above"),
        (HIT, load(1000, socket_errors=2), 0, "2 socket errors"),
        (HIT, load(0), 0, "no request was answered"),
        (HIT, load(1000, received_bytes=200_000), 0, "200 bytes a response instead of 1024"),
        (HIT, load(1000), 500, "50.0% of the requests reached the origin; none should"),
        (PASS, load(1000), 500, "50.0% of the requests reached the origin; all should"),
    ],
    ids=["status", "socket", "nothing", "short", "hit not hit", "pass not passed"],
)
def test_a_run_with_wrong_answers_is_found_out(
    case: Case, result: Load, heard: int, wrong: str
) -> None:
    with pytest.raises(WrongAnswer, match=wrong):
        check(case, result, heard)


def test_a_run_as_it_should_be_passes() -> None:
    check(HIT, load(1000), 0)
    check(PASS, load(1000), 1000)
