"""The manual names every key of the language, and no other default than the built-in one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config import spec
from gateway.config.spec_origins import ORIGIN_TABLE
from gateway.config.tables import Key, Table

MANUAL = (Path(__file__).parent.parent.parent / "docs/configuration.md").read_text("utf-8")


def keys(*tables: Table) -> Iterator[Key[Any]]:
    for table in tables:
        for key in table.keys:
            yield key
            if isinstance(key.shape, Table):
                yield from keys(key.shape)


def test_every_key_is_in_the_manual_with_its_default() -> None:
    lines = [line for line in MANUAL.splitlines() if line.startswith("|")]

    for key in keys(spec.ROOT, ORIGIN_TABLE, spec.ROUTE_TABLE, spec.CACHE_TABLE):
        about = [line for line in lines if re.search(rf"[`.]{key.name}[`.]", line)]
        assert about, key.name
        assert key.default is None or any(f"`{key.default}`" in line for line in about), key.name
