"""What every handler needs, under one key of the application."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from jinja2 import Environment

from upstream.assets import Assets
from upstream.events import Broadcaster
from upstream.org_token import TokenSigner
from upstream.pool import Pool


@dataclass(frozen=True, slots=True)
class Hub:
    """The parts of a running hub."""

    pool: Pool
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
