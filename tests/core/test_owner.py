"""A process is called dead only where that is certain: its jobs are taken from it then."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambda_kit.core.runtime.worker_id import is_certainly_dead, new_worker_id

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is ever certainly dead")

NAMES_ITSELF = """
import sys
from lambda_kit.core.runtime.worker_id import new_worker_id
print(new_worker_id(), flush=True)
sys.stdin.read()
"""

ENDS_ITS_MAIN_THREAD = """
import ctypes, sys, threading
from lambda_kit.core.runtime.worker_id import new_worker_id
print(new_worker_id(), flush=True)
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""

HAS_NO_FILES_LEFT = """
import os, resource, sys
from lambda_kit.core.runtime.worker_id import is_certainly_dead, new_worker_id
workers = [new_worker_id(), *sys.argv[1:]]
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
files = []
try:
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
said = [is_certainly_dead(worker_id) for worker_id in workers]
nameless = new_worker_id()
for file in files:
    os.close(file)
print(said, is_certainly_dead(nameless), is_certainly_dead(new_worker_id()))
"""

ASKS = """
import sys
from lambda_kit.core.runtime.worker_id import is_certainly_dead
print(*(is_certainly_dead(worker_id) for worker_id in sys.argv[1:]))
"""


def python(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def said_by(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return said.strip()


@contextmanager
def a_process(code: str = NAMES_ITSELF) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """A process that lives until its input is closed, and what it calls itself."""
    with python(code) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@pytest.mark.processes
def test_a_process_is_dead_when_it_has_ended_and_not_before() -> None:
    with a_process() as (process, worker_id):
        assert not is_certainly_dead(worker_id)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_certainly_dead(worker_id)  # though nobody has asked for its exit code
        process.wait()
        assert is_certainly_dead(worker_id)


def test_a_process_whose_number_is_that_of_another_one_now_is_dead() -> None:
    host, machine, pid, _, nonce = new_worker_id().split("/")
    assert is_certainly_dead(f"{host}/{machine}/{pid}/1/{nonce}")


@pytest.mark.processes
def test_a_process_lives_while_one_of_its_threads_does() -> None:
    with a_process(ENDS_ITS_MAIN_THREAD) as (process, worker_id):
        until = time.monotonic() + 60
        while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text():
            assert time.monotonic() < until
        assert process.poll() is None
        assert not is_certainly_dead(worker_id)


@pytest.mark.processes
def test_a_process_that_can_open_no_file_calls_nobody_dead() -> None:
    with a_process() as (_, worker_id):
        # neither itself, nor the other; and what it called itself then is nobody's who can be called dead
        assert said_by(python(HAS_NO_FILES_LEFT, worker_id)) == "[False, False] False False"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount /proc")
@pytest.mark.processes
def test_a_process_of_another_user_that_proc_hides_is_not_dead() -> None:
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], check=False).returncode:
        pytest.skip("/proc can't be mounted here")
    other_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with a_process() as (process, living), a_process() as (other, dead):
        other.communicate()
        command = [*hidden, *other_user, sys.executable, "-c", ASKS, living, dead]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        asked = subprocess.run(command, capture_output=True, text=True, timeout=30, env=env, check=True)
        assert asked.stdout.split() == ["False", "True"]
        assert process.poll() is None


@pytest.mark.parametrize(
    ("machine", "pid", "start"),
    [("{machine}", "{pid}", ""), ("", "{pid}", "1"), ("other", "{pid}", "1"), ("{machine}", "0", "1"),
     ("{machine}", "²", "1"), ("{machine}", "9" * 30, "1"), ("{machine}", "-1", "1"), ("{machine}", "1/2", "1")],
)  # fmt: skip
def test_a_name_that_does_not_say_enough_is_nobody_who_is_dead(machine: str, pid: str, start: str) -> None:
    facts = dict(zip(("host", "machine", "pid"), new_worker_id().split("/"), strict=False))
    assert not is_certainly_dead("/".join(["host", machine.format(**facts), pid.format(**facts), start, "nonce"]))


@pytest.mark.parametrize("text", ["", "somebody", "a/b/c"])
def test_another_text_is_nobody_who_is_dead(text: str) -> None:
    assert not is_certainly_dead(text)
