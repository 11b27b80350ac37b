"""The JSON Schema of the rules, for completion and checks in editors."""

import json

from gateway.config import spec
from gateway.config.shapes import Schema

FILE = "rules.schema.json"
"""The name under which it is shipped."""


def schema() -> Schema:
    """Return the schema that accepts the rules' structure.

    It knows one file and no environment; what depends on other values, such as a route that
    can never match, only the loader sees.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **spec.ROOT.schema()}


def text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(schema(), indent=2) + "\n"
