"""What every handler needs, under one key of the application."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web
from jinja2 import Environment

from upstream.assets import Assets
from upstream.events import Broadcaster
from upstream.monitoring.monitor import Monitor
from upstream.org_token import TokenSigner
from upstream.pool import Pool


@dataclass(frozen=True, slots=True)
class Hub:
    """The parts of a running hub."""

    pool: Pool
    monitor: Monitor
    internal_networks: tuple[IPv4Network | IPv6Network, ...]
    """Who may see the figures, besides this machine."""
    signer: TokenSigner
    broadcaster: Broadcaster
    assets: Assets
    templates: Environment
    stripe_secret: str
    clock: Callable[[], float]
    """Seconds since the epoch."""
    heartbeat: float
    """Seconds of silence after which a live connection is sent a sign of life."""


HUB = web.AppKey("hub", Hub)
