"""A process that says it is ready and tells its diary what becomes of it.

``python -m tests.doubles.service NAME DIARY [--dies] [--fails] [ignored...]``; ``--fails``
ends before it is ready, ``--dies`` ends as soon as its diary holds the line ``die``.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType


def main() -> int:
    name, diary = sys.argv[1], Path(sys.argv[2])

    def tell(line: str) -> None:
        # Opened for appending: several processes write whole lines to one diary.
        descriptor = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)

    def end(number: int, _: FrameType | None) -> None:
        tell(f"{name} ends by {signal.Signals(number).name}")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    tell(f"{name} is {os.getpid()}")
    if "--fails" in sys.argv:
        sys.stderr.write(f"{name}: the moon is in the way\n")
        return 3
    if "--origin" in sys.argv:
        tell(f"{name} has origin {sys.argv[sys.argv.index('--origin') + 1]}")
        tell(f"{name} has keys {os.environ['HUB_JWT_KEYS']}")
    sys.stdout.write(f"{name}: ready on http://127.0.0.1:7777 (admin http://127.0.0.1:7778)\n")
    sys.stdout.flush()
    while not ("--dies" in sys.argv and "die\n" in diary.read_text()):
        time.sleep(0.02)
    return 4


if __name__ == "__main__":
    sys.exit(main())
