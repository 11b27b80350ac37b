"""What the two scripts are told by variables of the environment, or by `-e NAME=VALUE`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtest.definition import DefinitionError, definition


@dataclass(frozen=True, slots=True)
class Settings:
    """Which load, on what."""

    base: str
    """Where the gateway is, without a slash at the end."""
    profile: str
    scale: float
    out: Path
    """The folder for the summary."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Return what *environ* says; DefinitionError names the variable that is wrong."""
        base = environ.get("BASE", "http://127.0.0.1:8080").rstrip("/")
        if not base.startswith(("http://", "https://")):
            raise DefinitionError(f"BASE: expected http://HOST:PORT, got {base!r}")
        profile = environ.get("PROFILE", "laptop")
        definition().profile("dashboard", profile)
        written = environ.get("SCALE", "1")
        try:
            scale = float(written)
        except ValueError:
            scale = 0.0
        if not 0 < scale < 1e6:
            raise DefinitionError(f"SCALE: expected a number above 0 such as 0.5, got {written!r}")
        return cls(base, profile, scale, Path(environ.get("OUT", ".")))
