"""The command line: `python -m loadtest run | compare | report | slo | profiles`.

Exit status: 0 when all went well, 99 when a threshold or an aim was missed or a comparison found
something worse (as k6), 1 when nothing could be measured.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from loadtest import compare, record, report, slo
from loadtest.definition import DefinitionError, definition, options_for
from loadtest.place import STATE
from loadtest.record import Run, RunError

MISSED = 99


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out what *arguments* ask for; None takes the command line."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        return int(options.act(options, console))
    except (DefinitionError, RunError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("loadtest: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run tests and report")
    run.add_argument(
        "tests", nargs="*", metavar="TEST", help="dashboard, api_stress (default: both)"
    )
    run.add_argument("--profile", default="laptop", help="full, laptop or smoke (default: laptop)")
    run.add_argument("--engine", default="k9", choices=("k9", "k6"), help="default: k9")
    run.add_argument("--scale", type=_scale, default=1.0, help="multiplies the load (default: 1)")
    run.add_argument("--base", help="the gateway; without it one is started, with a hub")
    run.add_argument("--admin", help="the gateway's admin port, with --base, for its metrics")
    run.add_argument("--hub", help="the hub itself, with --base, for its metrics")
    run.add_argument("--workers", type=int, default=1, help="of a gateway started for it")
    run.add_argument(
        "--state-dir", type=Path, default=STATE, help="its database (default: .state/loadtest)"
    )
    run.add_argument("--out", type=Path, help="the folder for results (default: a new one)")
    run.set_defaults(act=_run)

    two = commands.add_parser("compare", help="set two runs side by side")
    two.add_argument("before", type=Path, help="the folder of a run, or its run.json")
    two.add_argument("after", type=Path)
    two.add_argument(
        "--limit", type=float, default=0.2, help="what counts as worse (default: 0.2, a fifth)"
    )
    two.set_defaults(act=_compare)

    again = commands.add_parser("report", help="write the page of a run again")
    again.add_argument("run", type=Path)
    again.set_defaults(act=_report)

    aims = commands.add_parser("slo", help="answer the success table from a run")
    aims.add_argument("run", type=Path, nargs="?", help="default: the newest of the dashboard")
    aims.add_argument("--strict", action="store_true", help="what wasn't measured counts as failed")
    aims.add_argument(
        "--crowd", type=Path, default=slo.CROWD_FILE, help="the result of `make load-100k`"
    )
    aims.set_defaults(act=_slo)

    profiles = commands.add_parser("profiles", help="show what each profile comes to")
    profiles.set_defaults(act=_profiles)
    return parser


def _scale(written: str) -> float:
    value = float(written)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {written}")
    return value


def _run(options: argparse.Namespace, console: Console) -> int:
    # Only here: the other commands work where k9 isn't installed.
    from loadtest.run import Wish, run  # noqa: PLC0415

    tests = options.tests or list(definition().tests)
    for test in tests:
        definition().profile(test, options.profile)
    failed = False
    for test in tests:
        wish = Wish(
            test=test,
            profile=options.profile,
            tool=options.engine,
            scale=options.scale,
            base=options.base,
            admin=options.admin,
            hub=options.hub,
            workers=options.workers,
            state=options.state_dir,
            out=options.out / test if options.out and len(tests) > 1 else options.out,
        )
        result, folder = run(wish, console)
        console.print(report.text(result), markup=False)
        console.print(f"report: {folder / 'report.html'}\n", markup=False)
        if test == "dashboard":
            console.print(
                slo.text(slo.goals(result, slo.read_crowd(slo.CROWD_FILE))) + "\n", markup=False
            )
        failed = failed or not result.passed
    return MISSED if failed else 0


def _compare(options: argparse.Namespace, console: Console) -> int:
    before, after = record.read(options.before), record.read(options.after)
    for caution in compare.cautions(before, after):
        console.print(f"caution: {caution}", markup=False)
    rows = compare.differences(before, after, options.limit)
    console.print(compare.text(rows), markup=False)
    return MISSED if any(row.worse for row in rows) else 0


def _report(options: argparse.Namespace, console: Console) -> int:
    run = record.read(options.run)
    folder = options.run if options.run.is_dir() else options.run.parent
    (folder / "report.html").write_text(report.page(run))
    console.print(report.text(run), markup=False)
    console.print(f"report: {folder / 'report.html'}", markup=False)
    return 0


def _slo(options: argparse.Namespace, console: Console) -> int:
    run = record.read(options.run) if options.run else _newest()
    rows = slo.goals(run, slo.read_crowd(options.crowd))
    console.print(f"{run.test}, {run.profile}, {run.started}\n", markup=False)
    console.print(slo.text(rows), markup=False)
    bad = {slo.Verdict.FAIL, slo.Verdict.UNKNOWN} if options.strict else {slo.Verdict.FAIL}
    return MISSED if any(row.verdict in bad for row in rows) else 0


def _newest() -> Run:
    found = sorted(STATE.glob(f"dashboard-*/{record.FILE}"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise RunError("there is no run of the dashboard yet: make load, or name a run")
    return record.read(found[-1])


def _profiles(_options: argparse.Namespace, console: Console) -> int:
    for name, test in definition().tests.items():
        for profile, described in test.profiles.items():
            minutes = described.seconds / 60
            console.print(
                f"{name} {profile}: up to {described.peak:,} {test.unit}, {minutes:.1f} minutes",
                markup=False,
            )
            for scenario, options in options_for(name, profile)["scenarios"].items():
                console.print(
                    f"  {scenario}: up to {max(s['target'] for s in options['stages']):,} visits "
                    f"in {options['timeUnit']}, at most {options['maxVUs']:,} virtual users",
                    markup=False,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
