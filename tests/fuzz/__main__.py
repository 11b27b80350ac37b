"""Fuzz for as long as one likes: ``python -m tests.fuzz [--seconds N] [--corpus DIR] [TARGET...]``.

Each target runs in a process of its own under libFuzzer (by atheris), which keeps what
reaches lines of the gateway that nothing reached before. What it keeps lies in DIR, so the
next run begins where this one ended. An input that breaks a promise is written to DIR too,
and the line that says so tells where to put it.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

_REPORT_SECONDS = 1
LONGEST = 24 * 3600


def main(arguments: list[str]) -> int:
    """Return 0 when every promise was kept, 1 when one was broken."""
    if arguments[:1] == ["--one"]:
        # In a process of its own: from here on atheris reads the arguments.
        return _fuzz(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--corpus", type=Path, default=Path(".state/fuzz"), metavar="DIR")
    given = parser.parse_args(arguments)
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the children instrument it first

    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {unknown[0]!r}: choose from {', '.join(TARGETS)}")
    if not 0 < given.seconds <= LONGEST:
        parser.error(f"--seconds is from 1 to {LONGEST}")
    names = given.targets or list(TARGETS)
    each = max(1, round(given.seconds / len(names)))
    print(f"{len(names)} targets, {each} s each; what is learnt lies in {given.corpus}", flush=True)
    broken = [name for name in names if not _run(name, given.corpus, each)]
    for name in broken:
        print(f"BROKEN  {name}", flush=True)
    return 1 if broken else 0


def _run(name: str, corpus: Path, seconds: int) -> bool:
    """Fuzz one target in a process of its own; return whether it kept its promises."""
    kept = corpus / name
    seeds = corpus / "seeds" / name
    for folder in (kept, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    words = _write_seeds(name, seeds)
    began = time.monotonic()
    run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz", "--one", name),
            *(f"-max_total_time={seconds}", f"-dict={words}", "-timeout=20", "-rss_limit_mb=2048"),
            *(f"-artifact_prefix={corpus}/{name}-", "-print_final_stats=1"),
            *(str(kept), str(seeds)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = run.stdout.decode("utf-8", "replace")
    took = time.monotonic() - began
    if run.returncode == 0:
        print(f"kept    {name}: {_runs(output)} inputs in {took:.0f} s", flush=True)
        return True
    print(output[-6000:], flush=True)
    print(f"put the file that is named above into tests/fuzz/found/{name}/, then mend it")
    return False


def _runs(output: str) -> str:
    for line in output.splitlines():
        if line.startswith("stat::number_of_executed_units:"):
            return f"{int(line.split()[1]):,}"
    return "no"


def _write_seeds(name: str, folder: Path) -> Path:
    """Write what *name* begins with into *folder*; return the file of its words."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - see main

    target = TARGETS[name]
    inputs = (*target.seeds, *(file.read_bytes() for file in target.found()))
    for number, seed in enumerate(inputs):
        (folder / f"{number:04}").write_bytes(seed)
    words = folder.with_suffix(".dict")
    escaped = ("".join(f"\\x{octet:02x}" for octet in word) for word in target.words if word)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    return words


def _fuzz(name: str, flags: list[str]) -> int:
    """Give libFuzzer the target *name*; it ends the process itself."""
    import atheris  # noqa: PLC0415 - only here, and only where `make fuzz` installed it

    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported

    target = TARGETS[name]
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *flags], target.check)
    atheris.Fuzz()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
