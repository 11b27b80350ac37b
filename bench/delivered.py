"""What a delivered answer costs, encoded: `python -m bench.delivered`.

20 KB of JSON, asked for by wrk on one core and answered by one process on another: by the gateway,
which encoded it once, and by nginx, which encodes it for each request (gzip, and brotli where the
module is there) or sends a file that somebody encoded before (gzip_static, brotli_static).
"""

import asyncio
import gzip
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import brotli
import psutil

from bench.compression import made_up
from bench.peers import free_port
from tests.doubles.origin import ScriptedOrigin, ok
from tests.end_to_end.real import gateway_process
from tests.end_to_end.replicas import family

_BYTES = 20_000
_SECONDS = 4
MODULES = Path("/usr/lib/nginx/modules")
RULES = """\
version: 1
defaults: {compress: {encodings: [br, zstd, gzip], recompress: off}}
routes:
  - {match: {path: /*}, cache: {ttl: 1h, scope: public}}
"""


def nginx_conf(folder: Path, port: int, *, brotli_there: bool) -> str:
    modules = [
        f"load_module {MODULES}/ngx_http_brotli_{name}_module.so;" for name in ("filter", "static")
    ]
    on = "brotli on; brotli_types application/json; brotli_min_length 1000;"
    static = "brotli_static on;"
    return f"""
{" ".join(modules) if brotli_there else ""}
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; tcp_nodelay on;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    types {{ application/json json; }}
    open_file_cache max=100; open_file_cache_min_uses 1;
    gzip_types application/json; gzip_min_length 1000;
    server {{
        listen 127.0.0.1:{port}; root {folder}/www;
        location /each/ {{ alias {folder}/www/; gzip on; {on if brotli_there else ""} }}
        location /ready/ {{ alias {folder}/www/; gzip_static on; {static if brotli_there else ""} }}
    }}
}}
"""


def wrk(port: int, path: str, coding: str, seconds: int = _SECONDS) -> float:
    """Return the requests a second that wrk got through in *seconds*."""
    said = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{seconds}s"),
            *("-H", f"Accept-Encoding: {coding}", f"http://127.0.0.1:{port}{path}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Non-2xx" not in said.stdout, said.stdout
    line = next(each for each in said.stdout.splitlines() if each.startswith("Requests/sec:"))
    return float(line.split()[1])


def cpu(processes: list[int]) -> float:
    """Return the processor seconds that *processes* have used."""
    return sum(sum(psutil.Process(each).cpu_times()[:2]) for each in processes)


def measure(name: str, port: int, path: str, coding: str, processes: list[int]) -> None:
    wrk_before = cpu(processes)
    began = time.perf_counter()
    rate = wrk(port, path, coding)
    took = time.perf_counter() - began
    each = (cpu(processes) - wrk_before) / (rate * took) * 1e6
    print(f"{name:<28} | {coding:<5} | {rate:>12,.0f} | {each:>12.1f}", flush=True)


async def gateway(body: bytes, codings: list[str]) -> None:
    origin = ScriptedOrigin({"*": [ok(body, content_type="application/json")]})
    with TemporaryDirectory() as folder:
        async with (
            origin,
            gateway_process(Path(folder), origin, rules_text=RULES) as running,
        ):
            processes = family(running)
            for process in processes:
                psutil.Process(process).cpu_affinity([0])
            for coding in codings:
                port = running.listen[1]
                await asyncio.to_thread(wrk, port, "/a.json", coding)
                await asyncio.to_thread(measure, "gateway", port, "/a.json", coding, processes)


def nginx(body: bytes, codings: list[str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        www = folder / "www"
        www.mkdir()
        (www / "a.json").write_bytes(body)
        (www / "a.json.gz").write_bytes(gzip.compress(body, 9))
        (www / "a.json.br").write_bytes(brotli.compress(body))
        port = free_port()
        there = (MODULES / "ngx_http_brotli_filter_module.so").exists()
        file = folder / "nginx.conf"
        file.write_text(nginx_conf(folder, port, brotli_there=there))
        process = subprocess.Popen(["taskset", "-c", "0", "nginx", "-p", name, "-c", str(file)])
        try:
            deadline = time.monotonic() + 5.0
            while not psutil.Process(process.pid).children():
                assert time.monotonic() < deadline, "nginx didn't start"
                time.sleep(0.05)
            processes = [each.pid for each in psutil.Process(process.pid).children()]
            for coding in codings:
                if coding == "br" and not there:
                    print("nginx without the brotli modules of Debian: no figures for br")
                    continue
                measure("nginx, encoding each time", port, "/each/a.json", coding, processes)
                measure("nginx, files made before", port, "/ready/a.json", coding, processes)
        finally:
            process.terminate()
            process.wait()


def main() -> int:
    for program in ("wrk", "nginx", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} isn't installed: apt-get install wrk nginx util-linux")
            return 1
    body = made_up(_BYTES)[: _BYTES * 2]
    print(f"{len(body):,} bytes of JSON, one core for each server\n")
    print("server                       | asks  | requests/s   | us of CPU each")
    asyncio.run(gateway(body, ["br", "gzip"]))
    nginx(body, ["br", "gzip"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
