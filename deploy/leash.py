"""Run a command that ends with whoever started it, however that one ends.

``python -m deploy.leash PARENT COMMAND...`` asks the kernel for SIGTERM at the end of
PARENT, a process id, and then becomes COMMAND. Between fork and exec would be shorter,
but running Python there is not safe. Where the kernel has no such promise (macOS), the
command is on its own when its parent is killed outright.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command, on a leash."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # It ended before the kernel was asked.
            sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
