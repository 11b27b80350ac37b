"""`gateway explain METHOD PATH --live URL`: a real request, and why it was answered as it was."""

import argparse
import json
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from gateway.control.token import admin_token
from gateway.edge.live_explain import signature
from gateway.errors import ConfigurationError

_LIMIT = 30.0


def run(args: argparse.Namespace, target: str) -> int:
    """Send the request; return 1 when nobody explains the answer."""
    token = admin_token()
    if token is None:
        raise ConfigurationError(
            "a live explanation takes the gateway's own token in GATEWAY_ADMIN_TOKEN"
        )
    address = urlsplit(args.live if "://" in args.live else f"http://{args.live}")
    headers = dict(args.header)
    host = next((value for name, value in args.header if name.lower() == "host"), None)
    if host is None:
        host = urlsplit(args.path).netloc if "://" in args.path else address.netloc
        headers["Host"] = host
    headers["Gateway-Explain"] = signature(
        token.encode("utf-8", "surrogateescape"), int(time.time()), args.method, host, target
    )
    try:
        connection = HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=_LIMIT)
        connection.request(args.method, target, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException, ValueError) as error:
        raise ConfigurationError(f"no gateway answers at {args.live}: {error}") from error
    told = answer.headers.get("Gateway-Explanation")
    if told is None:
        raise ConfigurationError(
            f"{args.live} answered {answer.status} and explained nothing: is its "
            "GATEWAY_ADMIN_TOKEN the same, and its clock right?"
        )
    explanation = {"status": answer.status, **json.loads(told)}
    if args.json:
        print(json.dumps(explanation, indent=2))
        return 0
    print(f"{args.method} {target}  (host {host})")
    for name, value in explanation.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        print(f"{name:14} {shown}")
    return 0
