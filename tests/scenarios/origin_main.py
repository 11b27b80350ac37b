"""An origin as a process that can be killed: ``python -m tests.scenarios.origin_main PORT FOLDER``.

It says what `content` says, in every framing there is, at once or slowly. Unless its fourth
argument is ``calm`` it fails now and then: with 503, and by hanging up in the middle.
Uploads are noted in FOLDER/uploads, a line each.
"""

import asyncio
import base64
import json
import os
import random
import re
import sys
from pathlib import Path

from tests.scenarios.content import KEYS, NOBODY, Versions, body, etag

_COOKIE = re.compile(r"(?i)^cookie:[ \t]*(.*)$", re.MULTILINE)
_LENGTH = re.compile(r"(?i)^content-length:[ \t]*([0-9]+)", re.MULTILINE)
_CONDITION = re.compile(r"(?i)^if-none-match:[ \t]*(.*?)\r?$", re.MULTILINE)


def asker(key: str, head: str) -> str:
    """Return who asks, as an origin finds out: it looks into the cookies."""
    found = _COOKIE.search(head)
    cookies: dict[str, str] = {}
    for pair in (found[1] if found else "").split(";"):
        name, _, value = pair.strip().partition("=")
        cookies[name] = value
    match key.split("/")[1]:
        case "public":
            # Whatever comes with it: a gateway that lets identity through is found out.
            return cookies.get("s", NOBODY)
        case "org":
            claims = cookies.get("t", "..").split(".")[1]
            padded = claims + "=" * (-len(claims) % 4)
            return str(json.loads(base64.urlsafe_b64decode(padded) or b"{}").get("org", NOBODY))
        case _:
            return cookies.get("s", NOBODY)


class Origin:
    def __init__(self, folder: Path, *, calm: bool) -> None:
        self._versions = Versions(folder / "versions")
        self._uploads = os.open(folder / "uploads", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._calm = calm
        self._chance = random.Random()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = _LENGTH.search(head)
                sent = await reader.readexactly(int(length[1])) if length else b""
                if not await self._answer(head, sent, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, sent: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        method, target, _ = head.split(" ", 2)
        if target not in KEYS:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        if method == "POST":
            os.write(self._uploads, sent + b"\n")
            done = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(sent)
            writer.write(done + sent)
            return True
        who, version = asker(target, head), self._versions.now(target)
        whole, tag = body(target, who, version), etag(who, version)
        condition = _CONDITION.search(head)
        fields = f"ETag: {tag}\r\nCache-Tag: {target.split('/')[1]}\r\nCache-Control: max-age=1\r\n"
        chance = self._chance.random()
        if not self._calm and chance < 0.02:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nno\n")
            return True
        if not self._calm and chance < 0.04:
            start = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n{fields}\r\n".encode()
            writer.write(start + whole[: len(whole) // 2])
            return False
        if condition is not None and condition[1] == tag:
            writer.write(f"HTTP/1.1 304 Not Modified\r\n{fields}\r\n".encode())
            return True
        return await self._send(writer, fields, whole)

    async def _send(self, writer: asyncio.StreamWriter, fields: str, whole: bytes) -> bool:
        framings = ["sized", "sized", "chunked"]
        if self._calm:
            # Nobody can tell such a body from one that is cut short because its origin died.
            framings.append("to the end")
        framing = self._chance.choice(framings)
        slow = self._chance.random() < 0.15
        pieces = [whole]
        if slow or framing == "chunked":
            step = len(whole) // 3 + 1
            pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
        start = f"HTTP/1.1 200 OK\r\n{fields}"
        if framing == "sized":
            start += f"Content-Length: {len(whole)}\r\n"
        elif framing == "chunked":
            start += "Transfer-Encoding: chunked\r\n"
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
        writer.write(start.encode() + b"\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if slow:
                await asyncio.sleep(0.03)
        return framing != "to the end"


async def main(port: int, folder: Path, *, calm: bool) -> None:
    server = await asyncio.start_server(Origin(folder, calm=calm).serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), calm=sys.argv[3:] == ["calm"]))
