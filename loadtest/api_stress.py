"""Twenty thousand calls of the API a second: half of it first, a spike, three minutes at the top.

    k9 run loadtest/api_stress.py -e PROFILE=smoke -e BASE=http://127.0.0.1:8080

The variables are those of `dashboard.py`; SCALE multiplies the rates. The numbers are in
`profiles.json`, the same test for k6 in `k6/api-stress.js`.
"""

import random
import sys
from pathlib import Path

# k9 puts this folder on the path, not the one above it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import k9

from loadtest.asking import Client, Data, Metrics, log_in, person
from loadtest.definition import definition, options_for
from loadtest.settings import Settings
from loadtest.summary import files

settings = Settings.read(k9.env)
numbers = definition()
options = options_for("api_stress", settings.profile, settings.scale)
endpoints = numbers.test("api_stress").endpoints
client = Client(settings.base, Metrics(numbers))


async def setup() -> Data:
    """Log everybody in."""
    return await log_in(settings.base)


async def stress(data: Data) -> None:
    """Make one call."""
    endpoint = random.choice(endpoints)
    await client.get(endpoint, endpoint, person(data), lambda response: b'"' in response.body)


def handle_summary(data: dict[str, object]) -> dict[str, str]:
    """Say what was measured: on the terminal, as JSON and as a page."""
    return files("api_stress", data, settings.out, k9.text_summary())
