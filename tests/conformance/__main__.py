"""`python -m tests.conformance`: run the dialogues, print the score, write it down if asked."""

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tests.conformance import document, runner, score, suite


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--tests", type=Path, default=suite.DATA, help="the file of tests")
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="run only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each result there")
    parser.add_argument("--document", action="store_true", help="renew docs/conformance.md")
    args = parser.parse_args()
    groups = suite.load(args.tests)
    if args.only:
        groups = [
            suite.Group(group.id, group.name, [c for c in group.tests if c.id in args.only])
            for group in groups
        ]
    with TemporaryDirectory() as folder:
        results = asyncio.run(runner.run(groups, Path(folder)))
    verdicts = score.judge(groups, results)
    print(score.table([(v.group, v.case.kind, v.scores) for v in verdicts]))
    print()
    for verdict in verdicts:
        if not verdict.scores:
            print(f"{verdict.case.kind} {verdict.case.id}: {verdict.word}: {verdict.why}")
    if args.json is not None:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    if args.document:
        document.PAGE.write_text(document.rewritten(document.PAGE.read_text(), verdicts))
    return int(any(v.case.kind == "required" and not v.scores for v in verdicts))


if __name__ == "__main__":
    sys.exit(main())
