"""What holding a crowd costs: memory and processor time, by who uses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from loadtest.readings import cpu_seconds, family


class Cost(msgspec.Struct, frozen=True):
    """Of one party."""

    resident_bytes: int
    """Pages that processes share count for each."""
    cores: float
    """Processors it kept busy during the measurement."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Whose cost is told, each with the processes it has begun."""

    client: Sequence[psutil.Process]
    gateway: psutil.Process | None
    hub: psutil.Process | None
    """With its database."""

    def cpu(self) -> dict[str, float]:
        """Return the processor seconds of each since it began."""
        return {
            name: sum(cpu_seconds(each) for each in those) for name, those in self._named().items()
        }

    def resident(self) -> dict[str, int]:
        """Return the memory of each."""
        return {
            name: sum(each.memory_info().rss for one in those for each in family(one))
            for name, those in self._named().items()
        }

    def _named(self) -> dict[str, Sequence[psutil.Process]]:
        named = {"client": self.client}
        if self.gateway is not None:
            named["gateway"] = [self.gateway]
        if self.hub is not None:
            named["hub and database"] = [self.hub]
        return named


def socket_bytes() -> int:
    """Return the kernel's memory for TCP's data on this machine, both ends; 0 elsewhere."""
    try:
        words = Path("/proc/net/sockstat").read_text().split()
        return int(words[words.index("mem") + 1]) * 4096
    except (OSError, ValueError):
        return 0


def available_bytes() -> int:
    """Return what the system could still give."""
    return int(psutil.virtual_memory().available)
