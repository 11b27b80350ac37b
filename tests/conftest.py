"""What a whole run of the tests says at its end."""

from _pytest.terminal import TerminalReporter

from tests.conformance import score, suite


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
