"""Asking a running gateway at its admin port."""

import argparse
import json
import os
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError

DEFAULT = "http://127.0.0.1:8081"
_LIMIT = 10.0


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Declare where the gateway is asked."""
    parser.add_argument(
        "--admin",
        metavar="URL",
        default=os.environ.get("GATEWAY_ADMIN", DEFAULT),
        help=f"where the gateway's admin port is (default {DEFAULT}, or GATEWAY_ADMIN)",
    )


def ask(args: argparse.Namespace, method: str, path: str, body: object = None) -> bytes:
    """Return the body of the answer; *body* goes as JSON.

    Raises ConfigurationError when nobody answers, or with what the gateway says is wrong.
    A token for an admin port that isn't on loopback is taken from GATEWAY_ADMIN_TOKEN.
    """
    address = args.admin if "://" in args.admin else f"http://{args.admin}"
    parts = urlsplit(address)
    headers = {"Accept": "application/json"}
    token = os.environ.get("GATEWAY_ADMIN_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    sent = None
    if body is not None:
        sent = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=_LIMIT)
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, HTTPException, ValueError) as error:
        raise ConfigurationError(
            f"no gateway answers at {address}: {error}; start it, or name its admin port by --admin"
        ) from error
    if answer.status >= 400:
        raise ConfigurationError(f"{address}{path}: {_said(text) or answer.reason}")
    return text


def _said(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.decode("utf-8", "replace").strip()
