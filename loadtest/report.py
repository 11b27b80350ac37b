"""The report of a run: a page that needs nothing but itself, and a few lines for a terminal."""

from pathlib import Path

import jinja2

from loadtest import charts, slo
from loadtest.charts import Line
from loadtest.record import Run

_TEMPLATE = Path(__file__).resolve().parent / "report.html"
_BLUE, _AMBER, _RED, _GREEN = "#2563eb", "#d97706", "#dc2626", "#16a34a"


def page(run: Run) -> str:
    """Return the whole page."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["percent"] = percent
    environment.filters["milliseconds"] = milliseconds
    template = environment.from_string(_TEMPLATE.read_text())
    series = run.series
    return template.render(
        run=run,
        goals=slo.goals(run),
        values=threshold_values(run),
        times=charts.chart(
            [
                Line("p99", _RED, [second.times.p99 for second in series]),
                Line("p95", _AMBER, [second.times.p95 for second in series]),
                Line("p50", _BLUE, [second.times.p50 for second in series]),
            ],
            "ms",
        ),
        rates=charts.chart(
            [
                Line("answers", _BLUE, [second.times.count for second in series]),
                Line("from the origin", _AMBER, [second.origin for second in series]),
                Line("errors", _RED, [second.errors for second in series]),
            ],
            "a second",
        ),
        hits=charts.chart(
            [
                Line(
                    "hit rate",
                    _GREEN,
                    [
                        100 * second.served / second.asked if second.asked else 0
                        for second in series
                    ],
                )
            ],
            "% of what asked the cache",
        ),
    )


def text(run: Run) -> str:
    """Return the figures that matter, for a terminal."""
    total = run.total
    lines = [
        f"{run.test}, {run.profile}: {total.count:,} answers in {run.seconds:.0f} s, "
        f"{run.rps:,.0f} a second, {run.peak_rps:,} at the most",
        f"  p50 {total.p50:.1f} ms   p95 {total.p95:.1f} ms   p99 {total.p99:.1f} ms   "
        f"max {total.max:.1f} ms",
        f"  errors {percent(run.error_rate)}   hit rate {percent(run.hit_rate)}   "
        f"stale {percent(run.stale_rate)}   "
        f"origin {run.origin_requests / max(run.seconds, 1):,.1f} requests a second",
        "",
        "thresholds:",
    ]
    values = threshold_values(run)
    for verdict in run.thresholds:
        mark = "holds " if verdict.holds else "BROKEN"
        key = (verdict.metric, verdict.expression)
        lines.append(f"  {mark}  {verdict.metric}: {verdict.expression}   {values[key]}")
    lines += [
        f"  {failure.count:,} times {failure.endpoint}: {failure.what}"
        for failure in run.failures[:10]
    ]
    return "\n".join(lines)


def threshold_values(run: Run) -> dict[tuple[str, str], str]:
    """Return what was measured where a threshold stands, by its metric and expression."""
    found = {}
    for verdict in run.thresholds:
        word = verdict.expression.split("<")[0].split(">")[0].strip()
        values = run.metrics.get(verdict.metric, {})
        value = values.get("rate" if word == "rate" else word)
        if value is None:
            found[verdict.metric, verdict.expression] = "nothing measured"
        elif word == "rate" and "passes" in values:
            found[verdict.metric, verdict.expression] = percent(value)
        elif word == "count":
            found[verdict.metric, verdict.expression] = f"{value:,.0f}"
        else:
            found[verdict.metric, verdict.expression] = milliseconds(value)
    return found


def percent(share: float | None) -> str:
    """Return *share* of one in percent; a dash when there is none."""
    return "-" if share is None else f"{share:.2%}"


def milliseconds(value: float) -> str:
    """Return *value* with as many digits as one can use."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.2f} ms"
