"""How the original and lambda_kit get along with a sidecar in trouble: `python -m benchmarks.sidecar`.

It prints a table in Markdown. Each service runs jobs that report events, beside a sidecar of its own (`FakeSidecar`)
that is up, or is in trouble for ``--seconds`` from the first job on. All run at once: they mostly wait.
"""

import argparse
import concurrent.futures
import contextlib
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.environments import original_python
from benchmarks.processes import running
from lambda_kit.testing import FakeSidecar, SidecarCall

__all__ = ["main"]

JOBS = 10
EVENTS = 5
WAIT_SECONDS = 120.0
"""For how long results are waited for, once the sidecar is well."""

TROUBLES: dict[str, Callable[[FakeSidecar], None]] = {
    "up": lambda sidecar: None,
    "down": FakeSidecar.vanish,
    "answers 503": lambda sidecar: sidecar.fail(503),
    "hangs": lambda sidecar: sidecar.hang(),
}


@dataclass
class Seen:
    """What came of the jobs of one service."""

    trouble: str
    name: str
    tool_seconds: float
    """The mean time in the tool."""
    results: int
    """Of `JOBS`."""
    events: int
    """Of `JOBS * EVENTS`, each counted once."""
    late_seconds: float | None
    """From the end of the trouble to the last result. None: not all have arrived."""
    is_in_order: bool
    repeated: int
    """Calls that had been answered 2xx before."""

    def row(self) -> str:
        late = "–" if self.late_seconds is None else f"{max(0.0, self.late_seconds):.1f} s"
        cells = (
            self.trouble, self.name, f"{self.tool_seconds * 1000:,.1f} ms", f"{self.results} of {JOBS}",
            f"{self.events} of {JOBS * EVENTS}", late, "yes" if self.is_in_order else "no", str(self.repeated),
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _post(port: int, job_id: str) -> None:
    headers = {
        "content-type": "application/json",
        "job-id": job_id,
        "authorization": f"Bearer {job_id}",
        "timeout": "0",
    }
    body = json.dumps({"events": EVENTS}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def _result(port: int, job_id: str) -> float:
    """How long a job was in its tool, once it has ended."""
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/jobs/{job_id}", timeout=60) as answer:
            if answer.status == 200:
                return float(json.loads(answer.read())["seconds"])
        time.sleep(0.2)


def _wait_until_ready(port: int) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_healtz", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise TimeoutError(f"nobody answers at port {port}")


def _observe(name: str, port: int, sidecar: FakeSidecar, trouble: str, seconds: float) -> Seen:
    _wait_until_ready(port)
    TROUBLES[trouble](sidecar)
    heal = threading.Timer(0.0 if trouble == "up" else seconds, _heal, [sidecar])
    healed_at = time.time() + heal.interval
    heal.start()
    ids = [f"job-{n}" for n in range(JOBS)]
    for job_id in ids:
        _post(port, job_id)
    tool_seconds = [_result(port, job_id) for job_id in ids]
    heal.join()
    with contextlib.suppress(AssertionError):  # then the table says how many there are
        sidecar.wait_for(lambda calls: len({call.job_id for call in calls if _is_result(call)}) == JOBS, WAIT_SECONDS)
    return _seen(sidecar, name, trouble, sum(tool_seconds) / JOBS, healed_at)


def _heal(sidecar: FakeSidecar) -> None:
    sidecar.heal()
    sidecar.come_back()


def _is_delivered(call: SidecarCall) -> bool:
    return call.status is not None and 200 <= call.status < 300


def _is_result(call: SidecarCall) -> bool:
    return _is_delivered(call) and call.kind == "results"


def _seen(sidecar: FakeSidecar, name: str, trouble: str, tool_seconds: float, healed_at: float) -> Seen:
    delivered = [call for call in sidecar.calls if _is_delivered(call)]
    results = {call.job_id: call.time for call in delivered if call.kind == "results"}
    told = [(call.job_id, call.kind, call.body) for call in delivered]
    is_in_order = True
    for job_id in {call.job_id for call in delivered}:
        numbers = [
            EVENTS if call.kind == "results" else call.json()["options"]["n"]
            for call in delivered
            if call.job_id == job_id
        ]
        is_in_order = is_in_order and numbers == sorted(numbers)
    return Seen(
        trouble,
        name,
        tool_seconds,
        len(results),
        len({one for one in told if one[1] == "events"}),
        max(results.values()) - healed_at if len(results) == JOBS else None,
        is_in_order,
        len(told) - len(set(told)),
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the trouble lasts (default: 60)")
    parser.add_argument("--original", help="the interpreter that has ivcap-lambda (default: one that is installed)")
    args = parser.parse_args()
    original = args.original or original_python()
    contestants = (
        ("ivcap-lambda 0.8.5", original, "benchmarks.services.sidecar_original"),
        ("lambda_kit", sys.executable, "benchmarks.services.sidecar_ours"),
    )
    runs: list[tuple[str, int, FakeSidecar, str, float]] = []
    with contextlib.ExitStack() as stack:
        for trouble in TROUBLES:
            for name, python, module in contestants:
                sidecar, port = stack.enter_context(FakeSidecar()), _free_port()
                command = ["env", f"IVCAP_BASE_URL={sidecar.url}", python, "-m", module]
                stack.enter_context(running([*command, "--host", "127.0.0.1", "--port", str(port)], core=None))
                runs.append((name, port, sidecar, trouble, args.seconds))
        with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
            seen = list(pool.map(lambda run: _observe(*run), runs))
    columns = (
        "sidecar",
        "service",
        "time in the tool",
        "results",
        "events",
        "last result after",
        "in order",
        "repeated",
    )
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    print("\n".join(one.row() for one in seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
