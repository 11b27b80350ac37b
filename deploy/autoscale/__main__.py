"""``python -m deploy.autoscale``: pods over time for a profile, and what a threshold changes."""

import argparse
import base64
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from deploy.autoscale import manifest
from deploy.autoscale.plot import draw
from deploy.autoscale.simulate import BRIEF, COOL_DOWN, Run, Stage, Tier, simulate

AVERAGE_RATE = 3_251 / 100_000
"""Requests a second of a user at the peak, measured with 100,000 (docs/results.md)."""
GATEWAY = Tier(capacity=20_000, service=0.0005, requests_per_user=AVERAGE_RATE)
"""Half of what a core does with heads that never come twice (docs/benchmark.md: 36,000)."""
THE_BRIEF_S = Tier(capacity=3_400 / 47 / 0.7, service=0.0245, requests_per_user=0.034)
"""What the report on the earlier system amounts to: 47 pods, 70% busy, at 3,400 requests a
second, and a P95 of 245 ms then."""
HUB = Tier(capacity=60, service=0.008, requests_per_user=AVERAGE_RATE * 0.1)
"""A page of the dashboard takes 8 ms (docs/results.md) of a core, of which a pod requests one
half: some 60 a second. That a tenth of the requests reach it is careful: 3% did."""

TIERS = {
    "gateway": ("gateway", GATEWAY),
    "hub": ("upstream", HUB),
    "brief": ("gateway", THE_BRIEF_S),
}


def main() -> int:
    """Simulate, print, draw; return 1 when the aim was missed."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.autoscale",
        description="Simulate the manifests' HPAs under the test with 100,000 users.",
    )
    parser.add_argument("--tier", choices=sorted(TIERS), action="append", help="default: all")
    parser.add_argument("--capacity", type=float, help="requests a second of a pod's CPU")
    parser.add_argument("--users", type=float, default=100_000.0, help="at the peak")
    parser.add_argument("--rate", type=float, help="requests a second of a user")
    parser.add_argument("--start", type=float, help="seconds until a pod is ready")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="METRIC=VALUE",
        help="another target, such as cpu=50; lower metrics are in the manifests",
    )
    parser.add_argument("--price", type=float, default=0.05, help="of a pod's hour")
    parser.add_argument("--out", type=Path, help="a folder for PNG and HTML")
    options = parser.parse_args()
    stages = [replace(each, users=each.users * options.users / 100_000) for each in BRIEF]
    slowest = 0.0
    for name in options.tier or list(TIERS):
        folder, tier = TIERS[name]
        autoscaler, targets = manifest.read(manifest.KUBERNETES / folder / "hpa.yaml")
        for each in options.target:
            metric, _, value = each.partition("=")
            if metric not in targets or not value.replace(".", "", 1).isdigit():
                known = ", ".join(targets)
                print(
                    f"--target {each}: expected METRIC=NUMBER of {name}: {known}", file=sys.stderr
                )
                return 2
            targets[metric] = float(value)
        tier = replace(
            tier,
            capacity=options.capacity or tier.capacity,
            requests_per_user=options.rate or tier.requests_per_user,
            start=tier.start if options.start is None else options.start,
        )
        run = simulate(autoscaler, targets, tier, [*stages, COOL_DOWN])
        print(told(name, run, options.price))
        slowest = max([slowest, *run.reactions])
        if options.out:
            write(options.out, name, run, stages)
    if slowest > 45:
        print(f"The aim of 45 s was missed: a pod came {slowest:.0f} s after it was needed.")
    return int(slowest > 45)


def told(name: str, run: Run, price: float) -> str:
    """Return the run in a few lines."""
    pods = [moment.ready for moment in run.moments]
    waits = run.reactions
    reaction = (
        f"half within {median(waits):.0f} s, all within {max(waits):.0f} s"
        if waits
        else "none was needed"
    )
    risky = sum(moment.p95 > 0.5 for moment in run.moments)
    return (
        f"{name}: {pods[0]} -> {run.peak} -> {pods[-1]} pods, peak "
        f"{max(moment.rate for moment in run.moments):,.0f} requests/s\n"
        f"  a pod more, once needed: {reaction}\n"
        f"  P95 above 500 ms for {risky} s, overloaded for {run.overloaded:.0f} s\n"
        f"  {run.pod_hours:.1f} pod hours, {run.pod_hours * price:.2f} at {price:g} an hour"
    )


def write(folder: Path, name: str, run: Run, stages: list[Stage]) -> None:
    """Draw *run* into *folder*, as a picture and as a page that needs nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"autoscale-{name}.png"
    draw(picture, name, run, sum(stage.seconds for stage in stages))
    encoded = base64.b64encode(picture.read_bytes()).decode()
    (folder / f"autoscale-{name}.html").write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}: pods over time</title>"
        f"<h1>{name}</h1><pre>{told(name, run, 0.05)}</pre>"
        f'<img alt="pods, requests and latency over time" src="data:image/png;base64,{encoded}">'
    )


if __name__ == "__main__":
    sys.exit(main())
