"""Who takes part: a service module, the interpreter that runs it, and what it can do."""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from benchmarks.environments import checkout_python, fastmcp_python, original_python
from benchmarks.errors import ContestantError
from benchmarks.processes import Cores, running

__all__ = [
    "ASGI",
    "BARE",
    "CONTESTANTS",
    "FASTMCP",
    "MCP_SDK",
    "MESSAGE",
    "ORIGINAL",
    "ORIGINAL_QUIET",
    "OURS",
    "OURS_CALLERS",
    "OURS_CONTROL",
    "OURS_GROWTH",
    "OURS_PROCESS",
    "OURS_STORES",
    "POOL",
    "Contestant",
    "Server",
    "Started",
    "python_of",
    "serving",
    "starting",
]

MESSAGE = "Hello, world"
ECHO_BODY = json.dumps({"message": MESSAGE})
_START_SECONDS = 60.0
_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One side of the comparison."""

    name: str
    """How it is called on the command line and in the table."""

    title: str
    """What it is."""

    module: str
    """The service, run as `python -m MODULE --host HOST --port PORT`."""

    package: str
    """What its users import."""

    names: str
    """What a service file takes from the package; some packages load these only then."""

    tools: frozenset[str]
    """Which of `sync`, `async` and `sleep` it serves, each at `/NAME`; none: it is no server, or one of MCP only."""


_ALL = frozenset({"sync", "async", "sleep"})
OURS = Contestant(
    name="ours",
    title="lambda_kit of this checkout",
    module="benchmarks.services.ours",
    package="lambda_kit",
    names="LambdaTool, Service, ToolServer",
    tools=_ALL,
)
ORIGINAL = Contestant(
    name="original",
    title="ivcap-lambda 0.8.5",
    module="benchmarks.services.original",
    package="ivcap_lambda",
    names="ivcap_lambda, logging_init, start_lambda_server",
    tools=_ALL,
)
ORIGINAL_QUIET = Contestant(
    name="original-quiet",
    title="the same without its access log",
    module="benchmarks.services.original_quiet",
    package="ivcap_lambda",
    names="ivcap_lambda, logging_init, start_lambda_server",
    tools=frozenset({"sync", "async"}),
)
BARE = Contestant(
    name="bare",
    title="bare Litestar handlers (sync: `sync_to_thread=True`)",
    module="benchmarks.services.bare",
    package="litestar",
    names="Litestar, post",
    tools=frozenset({"sync", "async"}),
)
ASGI = Contestant(
    name="asgi",
    title="bare ASGI on uvicorn",
    module="benchmarks.services.asgi",
    package="uvicorn",
    names="run",
    tools=frozenset({"async"}),
)
POOL = Contestant(
    name="pool",
    title="bare `concurrent.futures.ProcessPoolExecutor`, with neither HTTP nor jobs",
    module="benchmarks.services.pool",
    package="concurrent.futures",
    names="ProcessPoolExecutor",
    tools=frozenset(),
)
FASTMCP = Contestant(
    name="fastmcp",
    title="fastmcp 4.2.3 (MCP only)",
    module="benchmarks.services.mcp_fastmcp",
    package="fastmcp",
    names="FastMCP",
    tools=frozenset(),
)
MCP_SDK = Contestant(
    name="mcp-sdk",
    title="the low-level server and Streamable HTTP of the official SDK (MCP only)",
    module="benchmarks.services.mcp_sdk",
    package="mcp",
    names="Client",
    tools=frozenset(),
)
CONTESTANTS = (ORIGINAL, ORIGINAL_QUIET, OURS, BARE, ASGI, POOL, FASTMCP, MCP_SDK)

OURS_CALLERS = replace(OURS, module="benchmarks.services.ours_callers")
"""Ours again, with `--callers`, which says how its callers are known."""
OURS_CONTROL = replace(OURS, module="benchmarks.services.ours_control")
"""And with the tools for what no other contestant can do: limits, cancels, events, a drain."""
OURS_GROWTH = replace(OURS, module="benchmarks.services.ours_growth")
"""And with `--kept` and `--tools`: how many jobs are kept, and how many tools it has."""
OURS_PROCESS = replace(OURS, module="benchmarks.services.ours_process")
"""And with worker processes."""
OURS_STORES = replace(OURS, module="benchmarks.services.ours_stores")
"""And with `--kept-in`, which says where its jobs are kept."""


def python_of(contestants: tuple[Contestant, ...]) -> dict[str, str]:
    """The interpreter of each contestant, by its name; installs what is missing.

    Raises:
        SetupError: something can't be installed.
    """
    found: dict[str, str] = {}
    originals = [c for c in contestants if c.package == ORIGINAL.package]
    if originals:
        found |= dict.fromkeys([c.name for c in originals], original_python())
    if FASTMCP in contestants:
        found[FASTMCP.name] = fastmcp_python()
    others = [c for c in contestants if c.name not in found]
    if others:
        # One interpreter for all of these: the same Litestar, uvicorn and pydantic.
        found |= dict.fromkeys([c.name for c in others], checkout_python(needs_lambda_kit=OURS in others))
    return found


@dataclass(frozen=True, kw_only=True)
class Started:
    """A contestant whose port is open."""

    port: int
    process: subprocess.Popen[bytes]
    at: float
    """When its process was started, by `time.perf_counter`."""

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://{_HOST}:{self.port}{path}"

    def request(
        self, method: str, path: str, *, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers in lower case, body.

        Raises:
            ContestantError: no HTTP answer within 30 s.
        """
        return _request(self.port, method, path, body=body, headers=headers or {})


@dataclass(frozen=True, kw_only=True)
class Server(Started):
    """A contestant that is running and answers correctly."""

    pid: int
    first_answer_seconds: float
    """From the start of the process to the first 200 on a POST."""

    echo_answer: bytes
    """The body that every echo has to have."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """The header fields that every request has to have."""


@contextmanager
def starting(
    contestant: Contestant, python: str, cores: Cores, *, is_ended: bool = False, arguments: Sequence[str] = ()
) -> Iterator[Started]:
    """The contestant as a process for the length of the block, from the moment when its port is open.

    Its output goes to `/dev/null`: it pays for formatting its log, not for a terminal. It must not end before the
    block does, unless the block ends it (`is_ended`). `arguments` are further ones for its command line.

    Raises:
        ContestantError: it does not start.
    """
    port = _free_port()
    command = [python, "-m", contestant.module, "--host", _HOST, "--port", str(port), *arguments]
    at = time.perf_counter()
    with running(command, core=cores.server) as process:
        _wait_for_port(process, port, contestant, command)
        yield Started(port=port, process=process, at=at)
        if not is_ended and process.poll() is not None:
            raise ContestantError(f"{contestant.name}: ended by itself with exit code {process.returncode}")


@contextmanager
def serving(
    contestant: Contestant,
    python: str,
    cores: Cores,
    *,
    is_ended: bool = False,
    arguments: Sequence[str] = (),
    fields: Callable[[], dict[str, str]] = dict,
) -> Iterator[Server]:
    """The same, with its answers checked. `fields` is called once it has started: what every request has to have.

    Raises:
        ContestantError: it does not start, or an answer is not the right one.
    """
    with starting(contestant, python, cores, is_ended=is_ended, arguments=arguments) as started:
        sent = fields()
        first = _first_echo(started.port, contestant, sent)
        first_answer_seconds = time.perf_counter() - started.at
        if "sync" in contestant.tools and _echo(started.port, "sync", contestant, sent) != first:
            raise ContestantError(f"{contestant.name}: the sync and the async echo differ")
        yield Server(
            port=started.port,
            process=started.process,
            at=started.at,
            pid=started.process.pid,
            first_answer_seconds=first_answer_seconds,
            echo_answer=first,
            fields=sent,
        )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((_HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_for_port(process: subprocess.Popen[bytes], port: int, contestant: Contestant, command: list[str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ContestantError(
                f"{contestant.name}: exit {process.returncode} at start; to see why: {' '.join(command)}"
            )
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.002)
        else:
            return
    raise ContestantError(f"{contestant.name}: no port open after {_START_SECONDS:g} s")


def _first_echo(port: int, contestant: Contestant, fields: dict[str, str]) -> bytes:
    """A server may open its port early, to say 503 while its workers start."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if _request(port, "POST", "/async", body=ECHO_BODY, headers=fields)[0] != 503:
            break
        time.sleep(0.002)
    return _echo(port, "async", contestant, fields)


def _request(
    port: int, method: str, path: str, *, body: str | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(_HOST, port, timeout=30)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ContestantError(f"{method} {path}: no answer: {error!r}") from error
    finally:
        connection.close()


def _echo(port: int, tool: str, contestant: Contestant, fields: dict[str, str]) -> bytes:
    status, _, answer = _request(port, "POST", f"/{tool}", body=ECHO_BODY, headers=fields)
    if status != 200 or json.loads(answer) != {"echo": MESSAGE}:
        raise ContestantError(f"{contestant.name}: POST /{tool} answered {status} {answer[:300]!r}")
    return answer
