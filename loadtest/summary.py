"""What a script leaves behind at its end: the summary as JSON and as a page.

Both have k6's form, whichever tool ran: `run.py` reads the verdicts on the thresholds there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import msgspec

_TEMPLATE = Path(__file__).resolve().parent / "summary.html"


class Verdict(msgspec.Struct, frozen=True):
    """One threshold and whether it held."""

    metric: str
    expression: str
    holds: bool


def verdicts(summary: dict[str, Any]) -> list[Verdict]:
    """Return every threshold of a summary; those that only ask for a breakdown are left out."""
    return [
        Verdict(metric, expression, bool(result["ok"]))
        for metric, described in sorted(summary["metrics"].items())
        for expression, result in sorted(described.get("thresholds", {}).items())
        if expression != "max>=0"
    ]


def files(name: str, data: dict[str, Any], folder: Path, text: str) -> dict[str, str]:
    """Return what to write: the path or `stdout`, and the text."""
    stem = folder / f"{name}-summary"
    return {
        "stdout": text,
        f"{stem}.json": msgspec.json.format(msgspec.json.encode(data), indent=1).decode(),
        f"{stem}.html": page(name, data),
    }


def page(name: str, data: dict[str, Any]) -> str:
    """Return a page that needs nothing but itself."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(
        name=name,
        seconds=data["state"]["testRunDurationMs"] / 1000,
        verdicts=verdicts(data),
        rows=list(_rows(data["metrics"])),
    )


def _rows(metrics: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, described in sorted(metrics.items()):
        values = described["values"]
        yield name, "  ".join(f"{key}={value:.6g}" for key, value in values.items())
