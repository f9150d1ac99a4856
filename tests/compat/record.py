"""Records what ivcap-lambda answers: ``python -m tests.compat.record PYTHON``, where PYTHON has ivcap-lambda installed.

The requests are those of `exchanges` and `sidecar_calls`, the service is `services/both_libraries.py`, and the result
goes to `recorded/`.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from lambda_kit.testing import FakeSidecar
from tests.compat.exchanges import COMMANDS, RECORDED, SERVICE_FILE, ask_all, run_command
from tests.compat.sidecar_calls import calls_of_jobs
from tests.support.service_process import free_port

KEPT = {name: value for name, value in os.environ.items() if name in ("HOME", "PATH")}


@contextlib.contextmanager
def served(python: str, env: Mapping[str, str]) -> Iterator[str]:
    """Runs the service with the original, and gives its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, str(SERVICE_FILE), "--host", "127.0.0.1", "--port", str(port)]
    service = subprocess.Popen(command, env={**KEPT, **env})
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/_healtz")
                break
            time.sleep(0.1)
        yield url
    finally:
        service.kill()
        service.wait()


def main() -> None:
    python = sys.argv[1]
    with served(python, {}) as url:
        answers = ask_all(url)
    with FakeSidecar() as sidecar, served(python, {"IVCAP_BASE_URL": sidecar.url}) as url:
        calls = calls_of_jobs(url, sidecar)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        commands = {" ".join(flags): run_command(python, SERVICE_FILE, flags, KEPT, place) for flags in COMMANDS}
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True)
    versions = {item["name"]: item["version"] for item in json.loads(listed.stdout)}
    by = {name: versions[name] for name in ("ivcap-lambda", "ivcap_service", "fastapi", "pydantic")}
    RECORDED.parent.mkdir(exist_ok=True)
    recording = {"recorded with": by, "answers": answers, "sidecar": calls, "commands": commands}
    RECORDED.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(answers)} answers, {len(commands)} commands, {sum(map(len, calls.values()))} calls of the sidecar")


if __name__ == "__main__":
    main()
