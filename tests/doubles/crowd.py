"""Many clients in a process of their own: ``python -m tests.doubles.crowd HOST PORT COUNT TARGET``.

Each asks for TARGET on a connection of its own; then a line says so. When all have been
answered, another line tells as JSON what they got. The process's descriptors are its own.
"""

import asyncio
import json
import resource
import sys
from collections import Counter

from tests.doubles.client import RawClient


async def main(host: str, port: int, count: int, target: str) -> None:
    clients = []
    for _ in range(count):
        client = await RawClient.connect((host, port))
        await client.ask(target)
        clients.append(client)
    print("asked", flush=True)
    answers: Counter[str] = Counter()
    for client in clients:
        reply = await client.reply()
        collapsed = "collapsed" in (reply.get("cache-status") or "")
        answers[
            f"{reply.status} {reply.body.decode()} {'collapsed' if collapsed else 'alone'}"
        ] += 1
        client.close()
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
