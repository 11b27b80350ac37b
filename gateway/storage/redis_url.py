"""Which Valkey or Redis a URL names, and a client for it.

redis://[user:password@]host[:port][/db]      rediss:// with TLS      unix://path?db=0
redis+cluster://host:port,host:port           one of the nodes is enough
redis+sentinel://host:port,host:port/service[/db]
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

_PORT = 6379
_SENTINEL_PORT = 26379
_LONGEST_ANSWER = 10.0
_LONGEST_CONNECT = 1.0
_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel",
            "rediss+sentinel")  # fmt: skip


class BadUrl(ValueError):
    """The URL names nothing that can be connected to; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says."""

    kind: str
    """``redis``, ``unix``, ``cluster`` or ``sentinel``."""
    tls: bool
    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    user: str | None = None
    password: str | None = None
    service: str = ""
    db: int = 0

    @property
    def told(self) -> str:
        """Where it is, without the password."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        return ",".join(f"{host}:{port}" for host, port in self.nodes)


def parse(url: str) -> Address:
    """Return what *url* says; raises BadUrl."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadUrl(str(error)) from error
    if parts.scheme not in _SCHEMES:
        raise BadUrl(f"begin it with one of {', '.join(f'{each}://' for each in _SCHEMES)}")
    if parts.fragment or (parts.query and parts.scheme != "unix"):
        raise BadUrl("it ends after the path: options stand in the rules")
    credentials, _, hosts = parts.netloc.rpartition("@")
    name, _, password = credentials.partition(":")
    user, secret = unquote(name) or None, unquote(password) or None
    if parts.scheme == "unix":
        if not parts.path:
            raise BadUrl("name the path of the socket: unix:///run/valkey.sock")
        chosen = parts.query.removeprefix("db=") if parts.query else "0"
        return Address("unix", False, (), parts.path, user, secret, "", _db(chosen))
    base, _, form = parts.scheme.partition("+")
    default = _SENTINEL_PORT if form == "sentinel" else _PORT
    nodes = tuple(_node(each, default) for each in hosts.split(","))
    steps = [step for step in parts.path.split("/") if step]
    kind = form or "redis"
    service = ""
    if kind == "sentinel":
        if not steps:
            raise BadUrl("name the service after the sentinels: redis+sentinel://host:26379/name")
        service = steps.pop(0)
    if kind == "redis" and len(nodes) > 1:
        raise BadUrl(
            "several hosts are a cluster or sentinels: redis+cluster://, redis+sentinel://"
        )
    if len(steps) > 1 or (steps and kind == "cluster"):
        raise BadUrl(f"/{'/'.join(steps)} says nothing there")
    db = _db(steps[0]) if steps else 0
    return Address(kind, base == "rediss", nodes, "", user, secret, service, db)


def _node(text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadUrl(f'"{text}" is no host:port') from error
    if not host:
        raise BadUrl("name a host")
    return host, default if port is None else port


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise BadUrl(f'"{text}" is no number of a database')
    return int(text)


async def close(connected: Any) -> None:
    """Disconnect what `client` returned."""
    await connected.aclose()
    manager = getattr(getattr(connected, "connection_pool", None), "sentinel_manager", None)
    for each in () if manager is None else manager.sentinels:
        await each.aclose()


def client(address: Address) -> Any:
    """Return a client that isn't connected yet.

    It tries nothing twice: whoever uses it knows what to do instead.
    """
    common: dict[str, Any] = {
        "username": address.user,
        "password": address.password,
        # How long anything may take is for whoever asks to say, each time.
        "socket_timeout": _LONGEST_ANSWER,
        "socket_connect_timeout": _LONGEST_CONNECT,
        "protocol": 2,
    }
    retry = Retry(NoBackoff(), 0)
    if address.kind == "unix":
        return Redis(unix_socket_path=address.path, db=address.db, retry=retry, **common)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        # Moved slots are followed; whether a node is asked again is for its error to say.
        return RedisCluster(
            startup_nodes=nodes,
            ssl=address.tls,
            retry=Retry(NoBackoff(), 1),
            require_full_coverage=False,
            max_connections=64,
            **common,
        )
    if address.kind == "sentinel":
        sentinels = Sentinel(  # type: ignore[no-untyped-call]
            list(address.nodes),
            sentinel_kwargs={
                "socket_timeout": _LONGEST_CONNECT,
                "socket_connect_timeout": _LONGEST_CONNECT,
            },
            ssl=address.tls,
            **common,
        )
        return sentinels.master_for(address.service, db=address.db, retry=retry)
    host, port = address.nodes[0]
    return Redis(host=host, port=port, db=address.db, ssl=address.tls, retry=retry, **common)
