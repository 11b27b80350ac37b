"""What all tests share: no limits that a busy machine breaks, and a word at the end."""

from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from tests.conformance import score, suite
from tests.doubles.browser import browser

__all__ = ["browser"]  # a fixture for whoever tests pages

# How long one example takes says something about the machine's other work, not about ours.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the conformance score per group, when those tests were among the run's."""
    scores = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "conformance" and report.when == "call"
    ]
    if scores:
        terminalreporter.section("HTTP caching conformance")
        order = [group.id for group in suite.load()]
        scores.sort(key=lambda one: order.index(one[0]))
        terminalreporter.write_line(score.table(scores))
