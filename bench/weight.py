"""Does the memory store count honestly?  (`python -m bench.weight`).

Keeps responses as they come from an origin and compares what the store says with what the
process really grew by. The constants in `gateway/storage/memory.py` and
`gateway/policy/stored.py` are checked here.
Each size runs in a process of its own, because memory that was freed hides what is taken.
"""

import gc
import subprocess
import sys
from pathlib import Path

from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives
from gateway.policy.stored import StoredResponse
from gateway.storage.memory import MemoryStore
from gateway.wire.fields import Fields

NO_LIMIT = 1 << 40
PAGE_BYTES = 4096
CASES = ((100_000, 0), (100_000, 1_000), (100_000, 4_000), (20_000, 50_000))
"""(objects, bytes of body)."""


def response(number: int, body_bytes: int) -> StoredResponse:
    """Return a response none of whose parts is shared with another's."""
    serial = b"%08d" % number
    fields = Fields.of(
        (b"Content-Type", b"application/json; charset=utf-8;" + serial),
        (b"Content-Length", b"%d" % body_bytes),
        (b"Date", b"Fri, 01 Jan 2027 00:00:00 GMT" + serial),
        (b"Cache-Control", b"public, max-age=60, stale-while-revalidate=300" + serial),
        (b"ETag", b'"' + serial * 2 + b'"'),
        (b"Vary", b"Accept-Encoding"[: 15 - number % 2]),
        (b"X-Request-Id", serial * 4),
    )
    # A parser makes names anew for each response; literals would be shared.
    fields = Fields(
        [(bytes(bytearray(a)), bytes(bytearray(b)), bytes(bytearray(c))) for a, b, c in fields]
    )
    fields.index()
    now = 1.8e9 + number
    return StoredResponse(
        status=200,
        reason=b"OK",
        fields=fields,
        body=b"." * body_bytes,
        arrival=Arrival(now - 1.0, 0.0, now + 0.1, now + 0.2),
        lifetime=60.0 + number,
        directives=ResponseDirectives(),
    )


def fill(objects: int, body_bytes: int) -> MemoryStore:
    """Return a store holding that many responses."""
    store = MemoryStore(NO_LIMIT, NO_LIMIT)
    for number in range(objects):
        store.keep(
            b"\x00\x03GET\x00\x20https://hub.example/api/%d" % number,
            [response(number, body_bytes)],
        )
    return store


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def measure(objects: int, body_bytes: int) -> None:
    """Print what one object took and what the store says of it."""
    fill(100, body_bytes)
    gc.collect()
    before = resident_bytes()
    store = fill(objects, body_bytes)
    taken = resident_bytes() - before
    print(
        f"{objects:>7} x {body_bytes:>5} bytes: {taken / objects:7.0f} taken each, "
        f"{store.bytes / objects:7.0f} counted, {taken / store.bytes:6.1%}",
        flush=True,
    )


def main() -> None:
    for objects, body_bytes in CASES:
        subprocess.run(
            [sys.executable, "-m", "bench.weight", str(objects), str(body_bytes)], check=True
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
