"""What is fuzzed: a check that takes any bytes, and what to make bytes of.

The same targets are checked for a moment by `make test`, with Hypothesis choosing the bytes
(`test_fuzz.py`), and for as long as one likes by `make fuzz`, with libFuzzer guided by the
lines of the gateway that it reaches (`__main__.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

FOUND = Path(__file__).parent / "found"
"""Inputs that broke a promise once, a folder for each target: checked first, for ever."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that any bytes are given to."""

    name: str
    check: Callable[[bytes], None]
    """Raises AssertionError for a promise that isn't kept; any other exception is a bug too."""
    seeds: tuple[bytes, ...]
    """Inputs to begin with."""
    words: tuple[bytes, ...]
    """What inputs are made of, which nobody would find by chance."""
    longest: int = 4096
    """Bytes of the longest input that is worth a try."""

    def found(self) -> list[Path]:
        """Return the inputs that broke a promise once."""
        return sorted((FOUND / self.name).glob("*"))


def contents(files: Iterable[Path]) -> tuple[bytes, ...]:
    """Return what is in *files*, in the order of their names."""
    return tuple(file.read_bytes() for file in sorted(files))


@st.composite
def changed(draw: st.DrawFn, target: Target) -> bytes:
    """A seed of *target* with up to four things done to it."""
    data = draw(st.sampled_from(target.seeds))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        until = at + draw(st.integers(0, 12))
        match draw(st.sampled_from(["insert", "delete", "replace", "repeat", "splice"])):
            case "insert":
                data = data[:at] + draw(st.sampled_from(target.words)) + data[at:]
            case "delete":
                data = data[:at] + data[until:]
            case "replace":
                data = data[:at] + draw(st.binary(min_size=1, max_size=2)) + data[at + 1 :]
            case "repeat":
                data = data[:until] + data[at:]
            case _:
                other = draw(st.sampled_from(target.seeds))
                data = data[:at] + other[draw(st.integers(0, len(other))) :]
    return data[: target.longest]


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return inputs for *target*: changed seeds mostly, and words and bytes in a row."""
    rows = st.lists(st.sampled_from(target.words) | st.binary(max_size=3), max_size=20)
    return changed(target) | changed(target) | rows.map(b"".join)
