"""What a successful write makes wrong, by the rules: the entries under ``invalidate``."""

from dataclasses import dataclass

from gateway.routing import glob


@dataclass(frozen=True, slots=True)
class OnWrite:
    """Groups that are purged when a write to certain paths succeeds (2xx or 3xx)."""

    paths: tuple[str, ...]
    """Globs, any of which matches; none matches every path."""
    groups: tuple[str, ...]
    """Templates, filled for whoever writes; see `templates.py`."""
    methods: frozenset[str] = frozenset()
    """None stands for every method that isn't known to be safe."""
    hard: bool = False
    """Forget the responses; else they are validated before their next use."""

    def covers(self, method: bytes, path: bytes) -> bool:
        """Return whether an unsafe request with *method* for the normalised *path* is meant."""
        if self.methods and method.decode("latin-1") not in self.methods:
            return False
        return not self.paths or any(glob.matches(pattern, path) for pattern in self.paths)
