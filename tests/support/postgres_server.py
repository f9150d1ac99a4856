"""A PostgreSQL server of a test's own, which it may kill."""

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.support.missing_service import missing_service
from tests.support.service_process import free_port

__all__ = ["PASSWORD", "PostgresServer"]

PASSWORD = "open/sesame@1"  # with characters that have to be quoted in a URL
_QUOTED_PASSWORD = "open%2Fsesame%401"
_SECONDS = "60"


class PostgresServer:
    """Makes a database cluster in a temporary folder and serves it on a free port, with passwords asked for.

    The programs are looked for where Debian has them, then on the path; they run as another user if this one is root,
    since PostgreSQL refuses that.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"postgresql://worker_id:{_QUOTED_PASSWORD}@127.0.0.1:{self.port}/postgres"
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="lambda-kit-postgres-"))
        self._data = self._folder / "data"
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self._folder, user.pw_uid, user.pw_gid)

    def __enter__(self) -> Self:
        try:
            password_file = self._folder / "password"
            password_file.write_text(PASSWORD)
            password_file.chmod(0o644)
            self._run("initdb", "-U", "worker_id", "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8")
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.kill()
        finally:
            shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder}"
        self._run("pg_ctl", "-w", "-t", _SECONDS, "-l", str(self._folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """End it at once, as a crash would: nothing is tidied up, no client is told. No error if it does not run."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-w", "-t", _SECONDS, "-m", "immediate", "stop")

    def kill_minus_nine(self) -> None:
        """End all of its processes by SIGKILL: not one of them does anything more."""
        pid_file = self._data / "postmaster.pid"
        main = int(pid_file.read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        processes = [main, *map(int, children)]
        with contextlib.ExitStack() as descriptors:
            ends = []
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    ends.append(os.pidfd_open(process))
                    descriptors.callback(os.close, ends[-1])
                    os.kill(process, signal.SIGKILL)
            for end in ends:
                assert select.select([end], [], [], float(_SECONDS))[0], "a process of PostgreSQL outlived its SIGKILL"
        # where nobody collects the dead these would be taken for those of a server which runs
        pid_file.unlink()
        (self._folder / f".s.PGSQL.{self.port}.lock").unlink(missing_ok=True)

    def _run(self, program: str, *args: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *args]
        # no pipes: the server would inherit them, and keep them open
        with (self._folder / "output").open("w+") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, cwd=self._folder, check=False, timeout=120, **self._as_user
            )
            output.seek(0)
            assert done.returncode == 0, f"{command}: {output.read()}"


def _programs() -> Path:
    """The folder of initdb and pg_ctl."""
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if debian:
        return max(debian, key=lambda folder: float(folder.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        missing_service("the programs initdb and pg_ctl of PostgreSQL, for a server of the test's own")
    return Path(initdb).resolve().parent
