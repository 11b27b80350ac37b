"""What does finding a route cost among 10, 100, 1,000, 10,000?  (`python -m bench.routing`).

Each table is a mix of what rules have: paths spelled out, paths with a star at the end, stars
inside segments, methods, hosts and conditions on header fields. The requests are half for
routes of the table and half for none. A loop over all routes stands beside it, to show what
is saved. The time of a load, with the proof that every route can be reached, is told too.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.config.build import examine
from gateway.routing import glob
from gateway.routing.conditions import Asked
from gateway.routing.route import Route
from gateway.routing.table import RouteTable, methods_of
from gateway.wire.fields import Fields

SIZES = (10, 100, 1_000, 10_000)
REQUESTS = 2_000
ROUNDS = 5
FLAT = 3.0
"""A curve is flat when the largest table costs at most this many times the smallest."""


def rules(count: int) -> str:
    """Return a file with *count* routes."""
    entries = []
    for number in range(count):
        area = f"/a{number % 97}/s{number}"
        match number % 10:
            case 0 | 1 | 2:
                match_ = f"path: {area}"
            case 3 | 4 | 5:
                match_ = f"path: {area}/*"
            case 6:
                match_ = f"path: {area}/v*/list"
            case 7:
                match_ = f"path: {area}/x, method: [GET, POST]"
            case 8:
                match_ = f"path: {area}/*, host: h{number}.example.com"
            case _:
                match_ = f"path: {area}/*, header: {{X-Beta: present}}"
        entries.append(f"  - {{name: r{number}, match: {{{match_}}}, cache: {{scope: public}}}}")
    return "version: 1\norigins: {o: {servers: http://o}}\nroutes:\n" + "\n".join(entries) + "\n"


def requests(count: int, chance: random.Random) -> list[Asked]:
    """Return requests for a table of *count* routes, half of them for none of its routes."""
    beta = Fields.of((b"X-Beta", b"1"))
    made = []
    for _ in range(REQUESTS):
        number = chance.randrange(count * 2)
        path = f"/a{number % 97}/s{number}" + chance.choice(["", "/x", "/v2/list", "/a/b/c"])
        host = f"h{number}.example.com".encode()
        made.append(Asked(b"GET", path.encode(), None, host, beta))
    return made


def best_ns(find: Callable[[Asked], Route], asked: Sequence[Asked]) -> float:
    """Return the nanoseconds of one look-up in the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for each in asked:
            find(each)
        best = min(best, time.perf_counter() - began)
    return best / len(asked) * 1e9


def looping(table: RouteTable) -> Callable[[Asked], Route]:
    """Return a look-up that asks one route after another."""

    def find(asked: Asked) -> Route:
        method = asked.method.decode()
        for route in table.routes:
            if route.paths and not any(glob.matches(path, asked.path) for path in route.paths):
                continue
            methods = methods_of(route)
            if methods and method not in methods:
                continue
            if route.when is None or not route.when.unmet(asked):
                return route
        raise AssertionError("the last route takes everything")

    return find


def measure(size: int, folder: Path) -> tuple[float, float, float]:
    """Return the nanoseconds by the table and by a loop, and the seconds of the load."""
    path = folder / "rules.yaml"
    path.write_text(rules(size))
    began = time.perf_counter()
    examined = examine(path, {}, None)
    loaded = time.perf_counter() - began
    if examined.snapshot is None:
        raise SystemExit("\n".join(each.render() for each in examined.findings))
    table = examined.snapshot.routes
    asked = requests(size, random.Random(size))
    loop = looping(table)
    for each in asked[:200]:
        if loop(each) is not table.route(each):
            raise SystemExit(f"{each.path!r}: the table and the loop find different routes")
    few = asked[: max(20, min(len(asked), 200_000 // size))]
    return best_ns(table.route, asked), best_ns(loop, few), loaded


def main() -> int:
    """Print the curve; 1 when it isn't flat."""
    found = {}
    print("routes   table      loop          load")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            by_table, by_loop, loaded = measure(size, Path(folder))
            found[size] = by_table
            table, loop = f"{by_table / 1000:.2f} us", f"{by_loop / 1000:.1f} us"
            print(f"{size:6}  {table:>8}  {loop:>12}  {loaded:7.2f} s")
    ratio = found[SIZES[-1]] / found[SIZES[0]]
    print(f"{SIZES[-1]} routes cost {ratio:.2f} times what {SIZES[0]} cost (flat: {FLAT} at most)")
    return 0 if ratio <= FLAT else 1


if __name__ == "__main__":
    sys.exit(main())
