"""The memory that all workers of a gateway share, and that outlives each of them."""

from dataclasses import dataclass

from gateway.storage import leases, quotas
from gateway.storage.fence import new_fence


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """Descriptors that a worker inherits."""

    quotas: int
    """The buckets of the rate limits."""
    fence: int
    """How many purges there were."""
    leases: int
    """Who is fetching what."""

    @classmethod
    def new(cls) -> "SharedMemory":
        """Make all of it, empty; raises OSError."""
        return cls(quotas.new_table(), new_fence(), leases.new_table())

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """All of them, in the order in which `SharedMemory` takes them."""
        return self.quotas, self.fence, self.leases
