"""What `tiers` says, in the words of the store."""

from pathlib import Path
from typing import TypeVar

from gateway.config import spec_tiers as spec
from gateway.config.findings import Findings
from gateway.config.tables import Key, Settings
from gateway.edge.snapshot import MEBIBYTE, CdnSettings, Warming
from gateway.storage.local import SMALLEST_QUOTA
from gateway.storage.settings import LocalSettings, RedisSettings, TierSettings

T = TypeVar("T")

_MEMORY_BYTES = 256 * MEBIBYTE
_OBJECT_BYTES = 16 * MEBIBYTE


def below(root: Settings, folder: Path, findings: Findings) -> TierSettings:
    """Return the tiers below memory; paths are relative to *folder*."""
    table = root.get(spec.TIERS)
    if table is None:
        return TierSettings()
    return TierSettings(_local(table, folder, findings), _redis(table))


def _local(table: Settings, folder: Path, findings: Findings) -> LocalSettings | None:
    written = table.get(spec.LOCAL)
    quota = None if written is None else written.get(spec.LOCAL_SIZE)
    if written is None or quota is None:
        return None
    if quota < SMALLEST_QUOTA:
        findings.error(
            written.place_of(spec.LOCAL_SIZE),
            "tiers.local.size is too small for a file that others may be reading",
            f"at least {spec.LOCAL_SIZE.shape.show(SMALLEST_QUOTA)}",
        )
    path = written.get(spec.LOCAL_PATH)
    return LocalSettings(
        quota=quota,
        max_object=_or(written, spec.LOCAL_MAX_OBJECT, 8 * MEBIBYTE),
        path=None if path is None else str(folder / path),
    )


def _redis(table: Settings) -> RedisSettings | None:
    written = table.get(spec.REDIS)
    address = None if written is None else written.get(spec.REDIS_URL)
    if written is None or address is None:
        return None
    return RedisSettings(
        address=address,
        timeout=_or(written, spec.REDIS_TIMEOUT, 0.05),
        prefix=_or(written, spec.REDIS_PREFIX, "hub:"),
        max_object=_or(written, spec.REDIS_MAX_OBJECT, MEBIBYTE),
    )


def cdn(root: Settings) -> CdnSettings | None:
    """Return the CDN in front; None for none."""
    table = root.get(spec.TIERS)
    written = None if table is None else table.get(spec.CDN)
    if written is None:
        return None
    zone, token = written.get(spec.CDN_ZONE), written.get(spec.CDN_TOKEN)
    if not zone or not token:
        return None
    hosts = tuple(one.value for one in written.get(spec.CDN_HOSTS) or ())
    return CdnSettings(zone, token, hosts)


def memory(root: Settings, findings: Findings) -> tuple[int, int]:
    """Return the bytes of the memory tier, and of the largest object in it."""
    table = root.get(spec.TIERS)
    written = None if table is None else table.get(spec.MEMORY)
    size = _or(written, spec.MEMORY_SIZE, _MEMORY_BYTES)
    largest = _or(written, spec.MAX_OBJECT, min(_OBJECT_BYTES, size))
    if written is not None and largest > size:
        findings.error(
            written.place_of(spec.MAX_OBJECT),
            "tiers.memory.max_object is larger than the tier itself",
            f"at most {spec.MEMORY_SIZE.shape.show(size)}",
        )
    return size, largest


def _or(table: Settings | None, key: Key[T], otherwise: T) -> T:
    """Return what *table* says under *key*, or *otherwise* when it is silent."""
    found = None if table is None else table.get(key)
    return otherwise if found is None else found


def warm(root: Settings) -> Warming | None:
    """Return how what is in demand is fetched again; None for not at all."""
    written = root.get(spec.WARM)
    if written is None:
        return None
    usual = Warming()
    return Warming(
        _or(written, spec.WARM_MOST, usual.most), _or(written, spec.WARM_RATE, usual.rate)
    )
