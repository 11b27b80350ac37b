"""Ending to listen without losing those who have just connected.

A listening socket that closes resets every connection in its queue, and while the last ones
are taken in, more may come. So first the kernel is told to drop requests for connections: the
queue gets no longer, and who is dropped asks again within a second (RFC 6298 section 2), of
whoever listens then.
"""

import ctypes
import socket
import struct
import sys

HANDSHAKE_SECONDS = 0.1
"""How long a handshake under way may take to get into the queue: some round trips."""
_SO_ATTACH_FILTER = 26
"""From Linux's asm-generic/socket.h; the module `socket` doesn't name it."""
_INSTRUCTION = struct.Struct("HBBI")
_FLAGS_AT, _SYN, _SYN_OR_ACK = 13, 0x02, 0x12
_NO_SYN = (
    (0x30, 0, 0, _FLAGS_AT),  # load the TCP header's flags
    (0x54, 0, 0, _SYN_OR_ACK),  # of them these two
    (0x15, 0, 1, _SYN),  # a SYN alone?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # all else passes, such as the end of a handshake
)
"""A program for the kernel's packet filter (man 7 socket, SO_ATTACH_FILTER)."""


def take_no_more(listening: socket.socket) -> bool:
    """Let nobody else begin to connect to *listening*; False where the system can't."""
    if sys.platform != "linux":
        return False
    program = b"".join(_INSTRUCTION.pack(*each) for each in _NO_SYN)
    held = ctypes.create_string_buffer(program)
    described = struct.pack("HL", len(_NO_SYN), ctypes.addressof(held))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:
        # A kernel or a sandbox without it: what comes in the last moment may be lost.
        return False
    return True
