"""One process of a crowd: `python -m loadtest.crowd.client`, orders on its stdin, a line a second.

A loop over epoll, without tasks or callbacks: half of the machine belongs to what is measured.
Users that think ask again a while after their answer. Callers with a rate ask when it is time,
and how long an answer took counts from when the question was due, so that a gateway (or a
client) that stalls can't hide it.
"""

import errno
import itertools
import math
import random
import select
import socket
import sys
import time
from bisect import bisect

import msgspec

from loadtest.crowd.answer import Answer, Broken
from loadtest.crowd.messages import SLOW_MS, Orders, Second
from loadtest.crowd.wheel import Wheel
from loadtest.distribution import Distribution

_TICK = 0.01
_TURN = 240.0
_MOST_EVENTS = 4096
_READ_BYTES = 256 * 1024
_RETRY = 1.0
_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux: the port is chosen when the address to reach is known."""


class User:
    """One connection."""

    __slots__ = ("answer", "asked", "connected", "due", "live", "number", "socket", "started")

    def __init__(self, number: int, *, live: bool) -> None:
        self.number = number
        self.live = live
        self.socket: socket.socket | None = None
        self.connected = False
        self.answer: Answer | None = None
        """What is arriving; None between two questions."""
        self.asked = 0
        """The place of its question in the orders."""
        self.due = 0.0
        """When the question should have been asked, for how long the answer took."""
        self.started = False
        """Of a stream of events: whether it has begun."""


class Crowd:
    """All users of one process."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, User] = {}
        self._users = [User(number, live=number < orders.live) for number in range(orders.users)]
        now = time.monotonic()
        self._wheel: Wheel[User] = Wheel(_TICK, _TURN, now)
        self._begun = now
        self._measuring_since: float | None = None
        self._idle: list[User] = []
        """Callers with a rate that are free."""
        self._asked = 0
        """How many questions the rate has had."""
        self._cumulated = list(itertools.accumulate(weight for weight, _ in orders.questions))
        self._requests = [
            [self._request(target, cookie) for _, target in orders.questions]
            for cookie in orders.people
        ]
        self._streams = [self._request("/api/events", cookie) for cookie in orders.people]
        self._person_of = random.Random(7).choices(
            range(len(orders.people)), orders.weights, k=orders.users
        )
        self._connected = 0
        self._listening = 0
        self._second = Second()
        self._times = Distribution()

    def _request(self, target: str, cookie: str) -> bytes:
        return (
            f"GET {target} HTTP/1.1\r\nHost: {self._orders.host}:{self._orders.port}\r\n"
            f"Accept-Encoding: br, gzip\r\nCookie: {cookie}\r\n\r\n"
        ).encode()

    def run(self) -> None:
        """Connect everybody, let them ask, and report each second."""
        orders = self._orders
        for user in self._users:
            # More and more of them, as the stages of the dashboard's test have it: the first ones
            # find an empty cache. Each asks as soon as it is connected.
            part = math.sqrt((user.number + 1) / orders.users)
            self._wheel.add(self._begun + orders.ramp * part, user)
        next_report = self._begun + 1
        # Before the measurement, so that the cache isn't empty then.
        asking_since = self._begun + orders.ramp
        # epoll counts in milliseconds; questions at a rate are late by half of one, on average.
        patience = 0.001 if orders.rate else _TICK / 4
        while True:
            now = time.monotonic()
            for due, user in self._wheel.due(now):
                self._act(user, due)
            if orders.rate and now >= asking_since:
                self._ask_by_rate(now - asking_since, asking_since)
            if now >= next_report:
                self._report()
                next_report += 1
            self._begin_measuring(now)
            if self._measuring_since is not None and now >= self._measuring_since + orders.hold:
                self._report()
                return
            for descriptor, events in self._epoll.poll(patience, _MOST_EVENTS):
                self._ready(self._by_descriptor[descriptor], events)

    def _begin_measuring(self, now: float) -> None:
        orders = self._orders
        if self._measuring_since is not None:
            return
        everybody = self._connected >= orders.users and self._listening >= orders.live
        # Whoever isn't there a while after the ramp won't come; the figures will say so.
        if now >= self._begun + orders.ramp + (orders.settle if everybody else orders.patience):
            self._report()
            self._measuring_since = now

    # What users do.

    def _act(self, user: User, due: float) -> None:
        if user.socket is None:
            self._connect(user)
        elif self._orders.rate:
            self._idle.append(user)
        else:
            self._ask(user, due)

    def _connect(self, user: User) -> None:
        orders = self._orders
        new = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            new.setblocking(False)
            new.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            new.bind((orders.sources[user.number // orders.a_source], 0))
            # A process may not wait here, and on the loopback it hardly has to.
            new.connect_ex((orders.host, orders.port))
        except OSError as error:
            new.close()
            self._error(f"connect: {errno.errorcode.get(error.errno or 0, 'unknown')}")
            self._wheel.add(time.monotonic() + _RETRY, user)
            return
        user.socket = new
        self._by_descriptor[new.fileno()] = user
        self._epoll.register(new.fileno(), select.EPOLLOUT)

    def _ask(self, user: User, due: float) -> None:
        person = self._person_of[user.number]
        user.due = due
        user.answer = Answer()
        if user.live:
            request = self._streams[person]
        else:
            place = bisect(self._cumulated, random.random() * self._cumulated[-1])
            user.asked = min(place, len(self._cumulated) - 1)
            request = self._requests[person][user.asked]
        assert user.socket is not None
        try:
            sent = user.socket.send(request)
        except OSError as error:
            self._lose(user, f"send: {errno.errorcode.get(error.errno or 0, 'unknown')}")
            return
        if sent < len(request):
            self._lose(user, "send: the gateway takes no more")

    def _ask_by_rate(self, lasted: float, since: float) -> None:
        rate = self._orders.rate
        until = int(lasted * rate)
        while self._asked < until and self._idle:
            due = since + self._asked / rate
            self._asked += 1
            self._ask(self._idle.pop(), due)
        self._second.behind = until - self._asked

    # What sockets say.

    def _ready(self, user: User, events: int) -> None:
        if user.socket is None:
            return
        if not user.connected and not events & select.EPOLLERR:
            user.connected = True
            self._connected += 1
            self._epoll.modify(user.socket.fileno(), select.EPOLLIN)
            if self._orders.rate and not user.live:
                self._idle.append(user)
            else:
                self._ask(user, time.monotonic())
            return
        try:
            data = user.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(user, f"receive: {errno.errorcode.get(error.errno or 0, 'unknown')}")
            return
        if not data:
            asked = user.answer is not None
            self._lose(user, "closed before the answer" if asked else "closed between answers")
        elif user.live:
            self._heard(user, data)
        else:
            self._arrived(user, data)

    def _heard(self, user: User, data: bytes) -> None:
        if user.started:
            return
        if data.startswith(b"HTTP/1.1 200 "):
            user.started = True
            self._listening += 1
        else:
            self._lose(user, f"events: {data[9:12].decode(errors='replace')}")

    def _arrived(self, user: User, data: bytes) -> None:
        answer = user.answer
        if answer is None:
            self._lose(user, "bytes that nobody asked for")
            return
        try:
            complete = answer.feed(data)
        except (Broken, ValueError):
            self._lose(user, "broken answer")
            return
        if not complete:
            return
        now = time.monotonic()
        user.answer = None
        took = (now - user.due) * 1000
        self._times.add(took)
        self._second.requests += 1
        self._second.cached += answer.cached
        if took > SLOW_MS:
            target = self._orders.questions[user.asked][1].partition("?")[0]
            self._second.slow[target] = self._second.slow.get(target, 0) + 1
        if answer.status != 200:
            self._error(f"status {answer.status}")
        if self._orders.rate:
            self._idle.append(user)
        else:
            think = self._orders.think
            self._wheel.add(now + think * random.uniform(0.5, 1.5), user)

    def _lose(self, user: User, why: str) -> None:
        self._error(why if user.connected else f"connect, {why}")
        assert user.socket is not None
        descriptor = user.socket.fileno()
        self._connected -= user.connected
        user.connected = False
        if user.started:
            user.started = False
            self._listening -= 1
        self._epoll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        user.socket.close()
        user.socket = None
        user.answer = None
        if user in self._idle:
            self._idle.remove(user)
        self._wheel.add(time.monotonic() + _RETRY, user)

    def _error(self, what: str) -> None:
        self._second.errors[what] = self._second.errors.get(what, 0) + 1

    def _report(self) -> None:
        second = self._second
        second.connected = self._connected
        second.listening = self._listening
        second.measured = self._measuring_since is not None
        second.buckets = dict(self._times.buckets)
        second.total, second.largest = self._times.total, self._times.largest
        sys.stdout.buffer.write(msgspec.json.encode(second) + b"\n")
        sys.stdout.buffer.flush()
        self._second = Second()
        self._times = Distribution()


def main() -> None:
    """Read orders from stdin and carry them out."""
    Crowd(msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)).run()


if __name__ == "__main__":
    main()
