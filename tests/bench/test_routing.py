"""The benchmark of routing measures tables that find what a loop over all routes finds."""

import random
from pathlib import Path

import pytest

from bench.routing import SIZES, looping, requests, rules
from gateway.config.build import examine


@pytest.mark.parametrize("size", SIZES[:2])
def test_the_table_and_a_loop_find_the_same_routes(size: int) -> None:
    examined = examine(Path("rules.yaml"), {}, None, rules(size).encode())
    assert examined.snapshot is not None, list(examined.findings)
    table = examined.snapshot.routes
    loop = looping(table)

    asked = requests(size, random.Random(1))[:500]

    assert [table.route(each).name for each in asked] == [loop(each).name for each in asked]
    assert len({table.route(each).name for each in asked}) > size // 3
