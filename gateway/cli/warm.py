"""`gateway warm SOURCE`: ask a running gateway for URLs before clients do, not faster than told."""

import argparse
import asyncio
import json
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from gateway.errors import ConfigurationError

_LIMIT = 60.0
_MOST_URLS = 1_000_000
_MOST_SITEMAPS = 1000
_LARGEST_SITEMAP = 64 << 20
"""Bytes, unpacked; the protocol's own limit is 50 MB."""
_MOST_SHOWN = 10
_GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class Warmed:
    """What became of the URLs."""

    asked: int = 0
    words: Counter[str] = field(default_factory=Counter)
    """By the word of X-Cache."""
    body_bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """URLs that weren't answered well, and how."""
    seconds: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a file with a URL or path on each line, a sitemap (or index of sitemaps) as a file, "
        "or a URL or path of one, such as /sitemap.xml; - reads stdin",
    )
    parser.add_argument(
        "--to",
        metavar="URL",
        default="http://127.0.0.1:8080",
        help="where the gateway is (default: http://127.0.0.1:8080)",
    )
    parser.add_argument(
        "--host", help="the host of what is given as a path (default: that of --to)"
    )
    parser.add_argument(
        "--rate", type=_rate, default=20.0, help="requests a second at most (default: 20)"
    )
    parser.add_argument(
        "--at-once", type=_count, default=8, help="requests under way at most (default: 8)"
    )
    parser.add_argument(
        "--accept-encoding",
        default="br, gzip",
        metavar="VALUE",
        help="what is asked for (default: br, gzip), so that it is encoded, too",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Warm; return 1 when a URL wasn't answered well, or there is none."""
    warmed = asyncio.run(_run(args))
    if args.json:
        told = {
            "asked": warmed.asked,
            "words": dict(sorted(warmed.words.items())),
            "bytes": warmed.body_bytes,
            "seconds": round(warmed.seconds, 3),
            "failures": [{"url": url, "why": why} for url, why in warmed.failures],
        }
        print(json.dumps(told, indent=2))
    else:
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(warmed.words.items()))
        print(f"{warmed.asked:,} URLs in {warmed.seconds:.1f} s: {words or 'no answer'}")
        for url, why in warmed.failures[:_MOST_SHOWN]:
            print(f"  {url}: {why}", file=sys.stderr)
        if len(warmed.failures) > _MOST_SHOWN:
            print(f"  and {len(warmed.failures) - _MOST_SHOWN} more", file=sys.stderr)
    return 1 if warmed.failures else 0


async def _run(args: argparse.Namespace) -> Warmed:
    to = args.to if "://" in args.to else f"http://{args.to}"
    parts = urlsplit(to)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"--to {args.to}: give the gateway's URL, such as {_EXAMPLE}")
    base = f"{parts.scheme}://{parts.netloc}"
    host = args.host or parts.netloc
    timeout = aiohttp.ClientTimeout(total=_LIMIT)
    connector = aiohttp.TCPConnector(limit=args.at_once)
    # Bodies are for the gateway to keep: here they are only counted, so not unpacked.
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, auto_decompress=False
    ) as session:
        gateway = _Gateway(session, base, host, args.accept_encoding)
        urls = list(dict.fromkeys(await _urls(args.source, gateway)))
        if not urls:
            raise ConfigurationError(f"{args.source} names no URL")
        return await _warm(gateway, urls, args.rate, args.at_once)


_EXAMPLE = "http://127.0.0.1:8080"


@dataclass(slots=True)
class _Gateway:
    """The gateway that is asked, whatever hosts the URLs have."""

    session: aiohttp.ClientSession
    base: str
    host: str
    accept_encoding: str

    async def get(self, url: str) -> tuple[int, str, bytes]:
        """Return status, X-Cache and body; raises aiohttp's errors and TimeoutError."""
        parts = urlsplit(url)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        headers = {"Host": parts.netloc or self.host, "Accept-Encoding": self.accept_encoding}
        async with self.session.get(
            URL(self.base + target, encoded=True),
            headers=headers,
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers.get("X-Cache", ""), await answer.read()


async def _warm(gateway: _Gateway, urls: list[str], rate: float, at_once: int) -> Warmed:
    warmed = Warmed(asked=len(urls))
    began = time.monotonic()
    free = asyncio.Semaphore(at_once)

    async def one(url: str) -> None:
        try:
            status, word, body = await gateway.get(url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            warmed.failures.append((url, f"no answer: {str(error) or type(error).__name__}"))
        else:
            warmed.words[word or "no X-Cache"] += 1
            warmed.body_bytes += len(body)
            if status >= 400:
                warmed.failures.append((url, str(status)))
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        for number, url in enumerate(urls):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await free.acquire()
            group.create_task(one(url))
    warmed.seconds = time.monotonic() - began
    return warmed


async def _urls(source: str, gateway: _Gateway) -> list[str]:
    """Return what *source* names, sitemaps within sitemaps included."""
    found: list[str] = []
    waiting, seen = [source], {source}
    while waiting and len(found) < _MOST_URLS:
        name = waiting.pop(0)
        content = await _content(name, gateway)
        if content.lstrip()[:1] != b"<":
            found += _lines(content, name)
            continue
        for is_sitemap, url in _sitemap(content, name):
            if not is_sitemap:
                found.append(url)
            elif url not in seen and len(seen) < _MOST_SITEMAPS:
                seen.add(url)
                waiting.append(url)
    return found[:_MOST_URLS]


async def _content(name: str, gateway: _Gateway) -> bytes:
    """Return what stands in the file, or at the URL, *name*; raises ConfigurationError."""
    if name == "-":
        content: bytes = await asyncio.to_thread(sys.stdin.buffer.read)
    elif "://" in name or (name.startswith("/") and not await asyncio.to_thread(_is_file, name)):
        try:
            status, _, content = await gateway.get(name)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ConfigurationError(f"{name}: no gateway answers at {gateway.base}") from error
        if status != 200:
            raise ConfigurationError(f"{name}: the gateway answered {status}")
    else:
        try:
            content = await asyncio.to_thread(Path(name).read_bytes)
        except OSError as error:
            raise ConfigurationError(f"{name} can't be read: {error.strerror}") from error
    if content[:2] != _GZIP:
        return content
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, _LARGEST_SITEMAP)
    except zlib.error as error:
        raise ConfigurationError(f"{name} can't be unpacked: {error}") from error
    if len(unpacked) >= _LARGEST_SITEMAP:
        raise ConfigurationError(f"{name} is larger than any sitemap may be")
    return unpacked


def _is_file(name: str) -> bool:
    return Path(name).is_file()


def _lines(content: bytes, name: str) -> Iterator[str]:
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith(("/", "http://", "https://")):
            raise ConfigurationError(
                f"{name}:{number}: expected a URL or a path that starts with /, got {text[:80]!r}"
            )
        yield text


def _sitemap(content: bytes, name: str) -> Iterator[tuple[bool, str]]:
    """Yield the URLs of a sitemap, each with whether it is a sitemap itself."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        # No sitemap has one, and what it could expand to has no bounds.
        raise ConfigurationError(f"{name} is no sitemap: it declares a document type")
    try:
        root = ET.fromstring(content)  # noqa: S314 - without a document type nothing expands
    except ET.ParseError as error:
        line, column = error.position
        raise ConfigurationError(f"{name}:{line}:{column + 1}: this is no XML: {error}") from error
    for each in root:
        kind = each.tag.rpartition("}")[2]
        if kind not in ("url", "sitemap"):
            continue
        for inner in each:
            if inner.tag.rpartition("}")[2] == "loc" and inner.text:
                yield kind == "sitemap", inner.text.strip()


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 100_000:
        raise argparse.ArgumentTypeError("expected requests a second, from 0.01 to 100000")
    return rate


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError("expected a number from 1 to 1000")
    return int(text)
