"""Both tiers as their pods start them, and a Prometheus that watches, on this machine.

Arguments and environment are the manifests'; only addresses, paths and the database differ.
The root is read-only where the kernel lets us have mounts of our own.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy import keys
from tests.deploy.kustomize import Resource, named
from tests.deploy.paths import DEPLOY, ROOT

PATIENCE = 90.0
"""Seconds until a test gives up; nothing waits for it to pass."""

_MOUNTS = """
mount --make-rprivate / || exit 1
while [ "$1" != -- ]; do mount --bind "$1" "$1" || exit 1; shift; done
shift
mount -o remount,bind,ro / || exit 1
exec "$@"
"""


@functools.cache
def _unshare() -> tuple[str, ...]:
    """Return how to get mounts of our own; empty where that isn't allowed."""
    for way in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        if shutil.which("unshare"):
            tried = [*way, "sh", "-c", _MOUNTS, "sh", "--", "true"]
            if subprocess.run(tried, check=False, capture_output=True).returncode == 0:
                return way
    return ()


def read_only(command: Sequence[str], writable: Sequence[Path]) -> list[str]:
    """Return *command* with a root that only *writable* excepts."""
    if not _unshare():
        return list(command)
    return [*_unshare(), "sh", "-c", _MOUNTS, "sh", *map(str, writable), "--", *command]


@dataclass(slots=True)
class Pod:
    """One container of ours."""

    process: subprocess.Popen[str]
    ports: dict[str, int]
    probes: dict[str, Any]

    def get(self, port: str, path: str) -> tuple[int, str]:
        return get(f"http://127.0.0.1:{self.ports[port]}{path}")


@dataclass(slots=True)
class Cluster:
    gateway: Pod
    hub: Pod
    prometheus: str
    """Its URL."""
    config: Path
    """The folder that the ConfigMap of the rules is mounted at."""

    def query(self, expression: str) -> list[Any]:
        """Return the samples with a value, now."""
        status, text = get(
            f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        )
        assert status == 200, f"{expression}: {text}"
        found = json.loads(text)["data"]["result"]
        return [each for each in found if each["value"][1] != "NaN"]

    def load(self) -> None:
        """Ask for a little of everything."""
        for path in ("/", "/blog", "/blog", "/docs", "/api/health", "/no-such-page"):
            self.gateway.get("http", path)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(condition: Callable[[], bool], what: object) -> None:
    """Wait for *condition*; *what* is told as it is when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def mount_config(folder: Path, number: int, rules: str) -> None:
    """Put *rules* there as the kubelet does: a new folder, and a link that is swapped."""
    version = folder / f"..version_{number}"
    version.mkdir(parents=True)
    (version / "rules.yaml").write_text(rules)
    link = folder / "..data_tmp"
    link.symlink_to(version.name)
    link.rename(folder / "..data")
    if not (folder / "rules.yaml").is_symlink():
        (folder / "rules.yaml").symlink_to("..data/rules.yaml")


def place_keys(hub: Path) -> None:
    """Put the keys that `python -m deploy.keys` makes where the pods have them mounted."""
    secret, public = yaml.safe_load_all(keys.manifests("hub", time.time()))
    (hub / "keys").mkdir(parents=True)
    for name, text in secret["stringData"].items():
        (hub / "keys" / name).write_text(text)
    (hub / "mounted-jwks.json").write_text(public["data"]["jwks.json"])


def container(resources: list[Resource], kind: str, name: str) -> Resource:
    [found] = named(resources, kind, name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@contextlib.contextmanager
def pod(
    said: Resource, replaced: dict[str, str], environ: dict[str, str], writable: list[Path]
) -> Iterator[Pod]:
    """Run the container *said*; the texts in *replaced* are written otherwise."""
    arguments = [_with(replaced, each) for each in said["args"]]
    variables = {
        each["name"]: _with(replaced, each["value"]) for each in said["env"] if "value" in each
    }
    process = subprocess.Popen(
        read_only([sys.executable, "-m", *arguments], writable),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **variables,
            **environ,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        ports = [int(each) for each in re.findall(r"http://[^\s:]+:(\d+)", line)]
        assert ports, f"no ready line but {line!r}"
        names = [each["name"] for each in said["ports"]]
        probes = {name: said[name]["httpGet"] for name in said if name.endswith("Probe")}
        yield Pod(process, dict(zip(names, ports, strict=True)), probes)
        process.terminate()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


def _with(replaced: dict[str, str], text: str) -> str:
    for before, after in replaced.items():
        text = text.replace(before, after)
    return text


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """Run Prometheus with the shipped configuration; it looks each second."""
    said = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    said["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in said["scrape_configs"]:
        name = job["job_name"]
        job["static_configs"] = [
            {
                "targets": [f"127.0.0.1:{targets[name]}"],
                # What the operator adds in a cluster.
                "labels": {"namespace": "hub", "pod": f"{name}-0"},
            }
        ]
    folder.mkdir()
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(said))
    rules = (DEPLOY / "prometheus" / "rules.yaml").read_text()
    (folder / "rules.yaml").write_text(rules.replace("interval: 15s", "interval: 1s"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _ready(f"http://{address}/-/ready"), "Prometheus doesn't start")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(url: str) -> bool:
    try:
        return get(url)[0] == 200
    except OSError:
        return False
