"""What each level of each coding costs and saves, next to nginx's: `python -m bench.levels`.

The bodies are the hub's own: its lists of issues, runs and tests, its pages one after another, and
all of its scripts in one. Our encoders are
timed by themselves; nginx by wrk, a request at a time encoded, less nothing: what HTTP costs it is
in its figure, and is small beside an encoding.
"""

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, build_opener

import brotli
import psutil
import zstandard
from isal import isal_zlib

from bench.delivered import MODULES, wrk
from bench.peers import free_port
from loadtest.place import started
from upstream.assets import Assets

_LEAST_SECONDS = 0.3
_LISTS = ("insight.getIssues", "autopilot.getRuns", "guardian.getTests")
_PAGES = (
    *(f"/dashboard/{each}" for each in ("issues", "runs", "tests", "analytics", "projects")),
    *("/dashboard", "/", "/blog", "/blog/one-dashboard", "/docs", "/docs/trpc", "/login"),
)
_LEVELS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("br", (1, 2, 4, 5, 6, 9, 11)),
    ("zstd", (1, 3, 6, 9, 12, 15, 19)),
    ("gzip (isal)", (0, 1, 2, 3)),
    ("gzip (zlib)", (1, 4, 6, 9)),
)
_NGINX: tuple[tuple[str, tuple[int, ...]], ...] = (("gzip", (1, 4, 6, 9)), ("br", (1, 4, 6, 11)))


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yield names, endings for nginx, and bodies."""
    with started(1) as place:
        login = json.dumps({"email": "ada@acme.test", "password": "demo-password"}).encode()
        opener = build_opener()
        signed = opener.open(
            Request(f"{place.base}/api/auth/login", login, {"Content-Type": "application/json"})
        )
        cookies = "; ".join(
            each.partition(";")[0] for each in signed.headers.get_all("Set-Cookie") or ()
        )

        def get(path: str) -> bytes:
            fields = {"Cookie": cookies, "Accept-Encoding": "identity"}
            answer: bytes = opener.open(Request(place.base + path, headers=fields)).read()
            return answer

        limit = "?input=%7B%22limit%22%3A100%7D"
        lists = b",\n".join(get(f"/api/trpc/{each}{limit}") for each in _LISTS)
        pages = b"\n".join(get(each) for each in _PAGES)
    yield "lists", "json", b"[" + lists + b"]"
    yield "pages", "html", pages
    scripts = b"\n".join(each.body for each in Assets() if each.path.endswith(".js"))
    yield "all scripts", "js", scripts


def encoder(coding: str, level: int) -> Callable[[bytes], bytes]:
    """Return what encodes a body."""
    match coding:
        case "br":
            return lambda body: bytes(brotli.compress(body, quality=level))
        case "zstd":
            return lambda body: zstandard.ZstdCompressor(level=level).compress(body)
        case "gzip (isal)":
            return lambda body: bytes(isal_zlib.compress(body, level, wbits=31))
    return lambda body: zlib.compress(body, level, wbits=31)


def ours(body: bytes) -> None:
    """Print our rows for *body*."""
    for coding, levels in _LEVELS:
        for level in levels:
            encode = encoder(coding, level)
            times, encoded, began = 0, b"", time.perf_counter()
            while (spent := time.perf_counter() - began) < _LEAST_SECONDS:
                encoded = encode(body)
                times += 1
            _row(coding, level, times * len(body) / spent / 1e6, len(encoded), len(body))


def _row(coding: str, level: int, rate: float, encoded: int, plain: int) -> None:
    saved = 100 - 100 * encoded / plain
    print(f"| {coding} | {level} | {rate:,.1f} | {encoded:,} | {saved:.1f}% |", flush=True)


def _conf(folder: Path, port: int, ending: str, coding: str, level: int, there: bool) -> str:
    module = f"load_module {MODULES}/ngx_http_brotli_filter_module.so;" if there else ""
    kinds = "application/json text/javascript"  # HTML is encoded unasked
    how = (
        f"gzip on; gzip_comp_level {level}; gzip_types {kinds};"
        if coding == "gzip"
        else f"brotli on; brotli_comp_level {level}; brotli_types {kinds};"
    )
    return f"""
{module}
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
    access_log off; keepalive_requests 1000000000; open_file_cache max=10;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    types {{ application/json json; text/html html; text/javascript js; }}
    server {{ listen 127.0.0.1:{port}; root {folder}; {how} }}
}}
# {ending}
"""


def nginx(body: bytes, ending: str) -> None:
    """Print nginx's rows for *body*."""
    there = (MODULES / "ngx_http_brotli_filter_module.so").exists()
    for coding, levels in _NGINX:
        if coding == "br" and not there:
            print("| nginx br | - | without the brotli modules of Debian | | |")
            continue
        for level in levels:
            with TemporaryDirectory() as name:
                folder = Path(name)
                folder.chmod(0o755)
                (folder / f"a.{ending}").write_bytes(body)
                port = free_port()
                file = folder / "nginx.conf"
                file.write_text(_conf(folder, port, ending, coding, level, there))
                process = subprocess.Popen(
                    ["taskset", "-c", "0", "nginx", "-p", name, "-c", str(file)]
                )
                try:
                    deadline = time.monotonic() + 5.0
                    while not psutil.Process(process.pid).children():
                        assert time.monotonic() < deadline, "nginx didn't start"
                        time.sleep(0.05)
                    rate = wrk(port, f"/a.{ending}", coding, seconds=1)
                    fields = {"Accept-Encoding": coding}
                    url = f"http://127.0.0.1:{port}/a.{ending}"
                    size = len(build_opener().open(Request(url, headers=fields)).read())
                finally:
                    process.terminate()
                    process.wait()
            _row(f"nginx {coding}", level, rate * len(body) / 1e6, size, len(body))


def main() -> int:
    """Print a table for each body."""
    for name, ending, body in bodies():
        print(f"\n{name}, {len(body):,} bytes\n")
        print("| coding | level | MB/s | bytes | saved |")
        print("| --- | ---: | ---: | ---: | ---: |")
        ours(body)
        nginx(body, ending)
    return 0


if __name__ == "__main__":
    sys.exit(main())
