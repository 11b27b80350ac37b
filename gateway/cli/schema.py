"""`gateway schema`: the JSON Schema of rules files, for editors."""

import argparse

from gateway.config import schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command: JSON is all it prints."""
    parser.add_argument("--json", action="store_true", help="as always: the schema is JSON")


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    del args
    print(schema.text(), end="")
    return 0
