"""What dictionaries save: `python -m bench.dictionaries [OLD NEW ...]`.

Each NEW file is encoded with the OLD one before it as its dictionary, next to brotli and zstd
at their best. Without files, the hub's own scripts and styles stand for the last release, and
the same with one line changed in each and one added for the next.
"""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.edge import encoders
from gateway.edge.dictionary_codings import dcb, dcz
from gateway.policy.negotiation import Coding
from upstream.assets import Assets


def releases(paths: list[str]) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield names with the last release and the next."""
    if paths:
        for old, new in zip(paths[::2], paths[1::2], strict=True):
            yield Path(new).name, Path(old).read_bytes(), Path(new).read_bytes()
        return
    whole: dict[str, list[bytes]] = {"js": [], "css": []}
    for asset in Assets():
        kind = asset.path.rpartition(".")[2]
        if kind in whole:
            whole[kind].append(asset.body)
            if len(asset.body) > 1024:
                yield asset.path.rpartition("/")[2], asset.body, _next(asset.body, kind)
    for kind, bodies in whole.items():
        body = b"\n".join(bodies)
        yield f"all {kind}", body, _next(body, kind)


def _next(body: bytes, kind: str) -> bytes:
    lines = body.split(b"\n")
    middle = len(lines) // 2
    lines[middle] += b" /* changed */"
    added = b"export const added = 1;" if kind == "js" else b".added { color: #123456 }"
    return b"\n".join([*lines, added])


def main() -> None:
    """Print a table."""
    print("| file | bytes | br 11 | zstd 19 | dcb | of br | time | dcz | of br | time |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, old, new in releases(sys.argv[1:]):
        br = encoders.encode(Coding.BR, new, best=True)
        zstd = encoders.encode(Coding.ZSTD, new, best=True)
        row = f"| {name} | {len(new):,} | {len(br):,} | {len(zstd):,} |"
        for encode in (dcb, dcz):
            began = time.perf_counter()
            body = encode(new, old, hashlib.sha256(old).digest())
            took = 1000 * (time.perf_counter() - began)
            row += f" {len(body):,} | {100 * len(body) / len(br):.0f}% | {took:.1f} ms |"
        print(row)


if __name__ == "__main__":
    main()
