"""As much HTTP/1.1 as the dialogues need, written apart from the gateway's own.

Field values are Latin-1 on both sides.
"""

import asyncio
from collections.abc import Iterable

Lines = list[tuple[str, str]]


class NoResponse(Exception):
    """The peer closed, or sent what is no HTTP."""


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Lines]:
    """Return the start line and the field lines of a message; raise NoResponse at the end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
        raise NoResponse(f"no head: {error}") from error
    start, *rest = raw[:-4].decode("latin-1").split("\r\n")
    lines: Lines = []
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise NoResponse(f"no field line: {line!r}")
        lines.append((name, value.strip(" \t")))
    return start, lines


def combined(lines: Lines) -> dict[str, str]:
    """Return the values by lower-case name, lines of one name joined."""
    found: dict[str, str] = {}
    for name, value in lines:
        lower = name.lower()
        found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    """Return a chunked body; its trailers are read and dropped."""
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return body
        body += await reader.readexactly(size)
        await reader.readexactly(2)


def head(start: str, lines: Iterable[tuple[str, str]]) -> bytes:
    """Return the bytes of a message's head."""
    return "\r\n".join([start, *(f"{n}: {v}" for n, v in lines), "", ""]).encode("latin-1")
