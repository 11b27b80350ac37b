"""A run as a picture: requests, pods, latency over one axis of time."""

from pathlib import Path

from matplotlib.figure import Figure

from deploy.autoscale.simulate import Run


def draw(file: Path, name: str, run: Run, load_ends: float) -> None:
    """Write *run* as a PNG to *file*; a line marks the end of the load, in seconds."""
    minutes = [moment.at / 60 for moment in run.moments]
    figure = Figure(figsize=(9, 7), layout="constrained")
    rate, pods, p95 = figure.subplots(3, 1, sharex=True)
    figure.suptitle(f"{name}: the test with 100,000 users")
    rate.plot(minutes, [moment.rate for moment in run.moments], color="#4477aa")
    rate.set_ylabel("requests/s")
    pods.step(minutes, [moment.wanted for moment in run.moments], color="#bbbbbb", label="wanted")
    pods.step(minutes, [moment.ready for moment in run.moments], color="#228833", label="ready")
    pods.set_ylabel("pods")
    pods.legend()
    p95.plot(minutes, [min(moment.p95, 5.0) * 1000 for moment in run.moments], color="#ee6677")
    p95.axhline(500, color="#bbbbbb", linestyle="--")
    p95.set_yscale("log")
    p95.set_ylabel("P95, ms (at most 5 s)")
    p95.set_xlabel("minutes")
    for axes in (rate, pods, p95):
        axes.axvline(load_ends / 60, color="#dddddd")
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=100)
