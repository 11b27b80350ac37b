"""Clients that know every byte they may be sent, and write down what they were.

A client keeps its connection as browsers do, asks again where it may, and now and then for a
part, with a condition, or by an upload of which the origin takes note.
"""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass, field

from tests.doubles.client import RawClient, Reply
from tests.scenarios import content
from tests.scenarios.content import Asker
from tests.scenarios.history import Asked, History, Outcome

PAUSE = 0.004


@dataclass(slots=True)
class Watched:
    """A connection, and whether it has been answered on."""

    client: RawClient
    used: bool = False


@dataclass(slots=True)
class Crowd:
    """Clients until they are told to stop."""

    address: tuple[str, int]
    askers: list[Asker]
    history: History
    chance: random.Random
    uploaded: list[bytes] = field(default_factory=list)
    """What was sent in uploads that were answered with success."""
    keeps: float = 0.9
    """How likely a client goes on with its connection after an answer."""
    stopped: bool = False

    async def run(self, clients: int) -> None:
        """Keep *clients* asking until `stopped`."""
        await asyncio.gather(*(self._client(number) for number in range(clients)))

    async def _client(self, number: int) -> None:
        asker = self.askers[number % len(self.askers)]
        connection: Watched | None = None
        tags: dict[str, str] = {}
        while not self.stopped:
            await asyncio.sleep(self.chance.random() * 2 * PAUSE)
            key = self.chance.choice(content.KEYS)
            begun = time.monotonic()
            if connection is None:
                try:
                    connection = Watched(await RawClient.connect(self.address))
                except OSError:
                    self._note(begun, asker, key, Outcome.REFUSED, fresh=True)
                    await asyncio.sleep(0.02)
                    continue
            if not await self._ask(connection, asker, key, tags, begun):
                connection.client.close()
                connection = None
        if connection is not None:
            connection.client.close()

    async def _ask(
        self, at: Watched, asker: Asker, key: str, tags: dict[str, str], begun: float
    ) -> bool:
        """Ask once, write it down, and return whether the connection can be used again."""
        method, sent, fields = self._request(asker, key, tags)
        fresh = not at.used
        head: Reply | None = None
        try:
            await at.client.send(_encoded(method, key, fields, sent))
            async with asyncio.timeout(20):
                reply = head = await at.client.head()
                await at.client._read_body(reply, method)
        except TimeoutError:
            self._note(begun, asker, key, Outcome.HUNG, fresh=fresh)
            return False
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            partial = isinstance(error, asyncio.IncompleteReadError) and error.partial
            outcome = Outcome.BROKEN if head is not None or partial else Outcome.UNANSWERED
            self._note(begun, asker, key, outcome, fresh=fresh)
            return False
        at.used = True
        self._judge(begun, asker, key, method, sent, reply, fresh=fresh)
        if reply.status == 200 and method == "GET":
            tags[key] = reply.get("etag") or ""
        return reply.get("connection") != "close" and self.chance.random() < self.keeps

    def _request(
        self, asker: Asker, key: str, tags: dict[str, str]
    ) -> tuple[str, bytes, dict[str, str]]:
        fields = {"Host": "hub.test", "Cookie": asker.cookie}
        drawn = self.chance.random()
        if drawn < 0.05:
            sent = uuid.UUID(int=self.chance.getrandbits(128)).hex.encode()
            return "POST", sent, {**fields, "Content-Length": str(len(sent))}
        if drawn < 0.15 and key in tags:
            fields["If-None-Match"] = tags[key]
        elif drawn < 0.25:
            first = self.chance.randrange(100)
            fields["Range"] = f"bytes={first}-{first + self.chance.randrange(1, 20_000)}"
        return "GET", b"", fields

    def _judge(
        self,
        begun: float,
        asker: Asker,
        key: str,
        method: str,
        sent: bytes,
        reply: Reply,
        *,
        fresh: bool,
    ) -> None:
        word = reply.word or ""
        if 500 <= reply.status <= 504:
            self._note(begun, asker, key, Outcome.FAILED, fresh=fresh, word=word)
            return
        if method == "POST":
            right = reply.status == 200 and reply.body == sent
            reading = content.Reading(0, None if right else f"{reply.status} to an upload")
            if right:
                self.uploaded.append(sent)
        else:
            reading = content.read(
                key,
                asker,
                reply.status,
                reply.get("etag"),
                reply.get("content-range"),
                reply.body,
            )
        self.history.asked.append(
            Asked(
                begun,
                time.monotonic(),
                asker.user,
                key,
                Outcome.ANSWERED,
                fresh,
                word,
                reading.version,
                reading.fault,
            )
        )

    def _note(
        self, begun: float, asker: Asker, key: str, outcome: Outcome, *, fresh: bool, word: str = ""
    ) -> None:
        now = time.monotonic()
        self.history.asked.append(Asked(begun, now, asker.user, key, outcome, fresh, word))


def _encoded(method: str, key: str, fields: dict[str, str], sent: bytes) -> bytes:
    lines = [f"{method} {key} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + sent
