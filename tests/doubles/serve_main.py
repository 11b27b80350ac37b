"""`gateway serve` with `SmallPlane` in its workers; takes the same flags."""

import argparse
import sys

import msgspec

from gateway.cli import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway serve")
    serve.add_arguments(parser)
    settings = serve.settings_of(parser.parse_args())
    sys.exit(
        serve.serve(msgspec.structs.replace(settings, worker_module="tests.doubles.worker_main"))
    )
