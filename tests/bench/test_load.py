"""Reading what wrk prints."""

import pytest

from bench.load import LoadFailed, parse

PRINTED = """\
Running 10s test @ http://127.0.0.1:8080/1k
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   480.11us   97.51us   5.81ms   91.06%
  1288170 requests in 10.00s, 1.52GB read
Requests/sec: 128817.10
measured requests=1288170 microseconds=10000025 bytes=1632110000 p50=480 p99=602 max=5810 \
connect=0 read=0 write=0 timeout=0 status=0
"""


def test_the_line_of_the_script_becomes_figures() -> None:
    load = parse(PRINTED, wrk_cpu=0.5)

    assert load.requests == 1_288_170
    assert load.requests_per_second == pytest.approx(128_816.7, abs=0.1)
    assert (load.p50_ms, load.p99_ms) == (0.48, 0.602)
    assert load.received_bytes == 1_632_110_000
    assert (load.socket_errors, load.bad_statuses) == (0, 0)
    assert load.wrk_cpu == 0.5


def test_every_kind_of_socket_error_counts() -> None:
    text = PRINTED.replace(
        "connect=0 read=0 write=0 timeout=0", "connect=1 read=2 write=4 timeout=8"
    )

    assert parse(text).socket_errors == 15


@pytest.mark.parametrize(
    ("said", "told"),
    [("", "nothing at all"), ("unknown option -- x", "unknown option -- x")],
    ids=["silence", "a complaint"],
)
def test_output_without_the_line_is_told_as_it_is(said: str, told: str) -> None:
    with pytest.raises(LoadFailed, match=f"wrk printed no result: {told}"):
        parse(said)
