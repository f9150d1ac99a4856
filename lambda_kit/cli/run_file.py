"""``--run FILE``: runs one request as a job, without a port and without the platform (docs/batch.md)."""

import asyncio
import contextlib
import mimetypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lambda_kit.adapters.ivcap.envelope import UNKNOWN_JOB_ID, looks_like_envelope, read_envelope
from lambda_kit.cli.loop_process import LoopProcess
from lambda_kit.cli.process_end import SIGNAL_BASE
from lambda_kit.cli.progress_line import ProgressLine
from lambda_kit.cli.served import Served
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.core.errors import ConfigurationError, JobNotFoundError, LambdaKitError, RequestValidationError
from lambda_kit.core.jobs.failures import cancelled_text
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Payload, Progress, bare_job_id, new_job_id
from lambda_kit.core.model.media_type import JSON, OCTET_STREAM, essence_of, is_json
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["run_file"]

_FAILED = 1
_LOOK_SECONDS = 0.05


def run_file(server: Served, tool: BoundTool, path: str, *, bounds: StopBounds) -> None:
    """Run one request, and write its result to stdout. What the tool itself prints goes to stderr.

    Args:
        server: Whose tool runs it. Its store should be one in memory.
        tool: The tool.
        path: A file with the request: JSON, or a job as ``next_job`` hands it out; for a tool that takes any bytes, the
            bytes. ``-`` is stdin.
        bounds: How long the end may take.

    Raises:
        ConfigurationError: if the file can't be read, or is no request for the tool; says what is wrong.
        SystemExit: 0; 1 if the job has failed (the error is on stderr); 128 + n after a signal.
    """
    _stand_in_for_stderr()
    if path == "-" and sys.stdin is None:
        raise ConfigurationError("the request can't be read: stdin is closed")
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from None
    given_id, body = _request(tool, path, content)
    process = RunProcess(server, tool, body, given_id, bounds)
    with _printing_to_stderr():
        code = process.run()
    if process.error is not None:
        print(f"{Path(sys.argv[0]).name}: error: {process.error}", file=sys.stderr)
    elif process.result is not None:
        code = _write(process.result) or code
    raise SystemExit(code)


class RunProcess(LoopProcess):
    """The process of a single run.

    Args:
        server: Whose tool runs it.
        tool: The tool.
        body: The request.
        given_id: The id of the job, as the file says. None: it says none.
        bounds: How long the end may take.
    """

    def __init__(
        self, server: Served, tool: BoundTool, body: Payload, given_id: str | None, bounds: StopBounds
    ) -> None:
        super().__init__(bounds)
        self._server = server
        self._tool = tool
        self._body = body
        self._given_id = given_id
        self._job_id = (bare_job_id(given_id) if given_id else None) or new_job_id()
        self._line = ProgressLine(sys.stderr)
        self._work: asyncio.Task[None] | None = None
        self.result: Payload | None = None
        """What the tool returned. None: it has failed."""
        self.error: str | None = None
        """Why there is no result, for people."""

    async def main(self) -> int:
        """Run it; returns the exit code."""
        self._work = asyncio.create_task(self._run())
        try:
            await self._work
        except asyncio.CancelledError:
            if self.signalled is None:
                raise
            self.error = "it was stopped before the job was begun"
        except RequestValidationError as error:
            self.error = _told(error, self._tool)
        except (LambdaKitError, OSError) as error:
            self.error = str(error)
        finally:
            self._work = None
        if self.signalled is not None:
            return SIGNAL_BASE + self.signalled
        return 0 if self.error is None else _FAILED

    def on_signal(self, sig: int) -> None:
        """Cancel the job; it may clean up."""
        settings = self._server.settings
        self.last_resort.end_within(settings.cancel_seconds + self.bounds.close_seconds, SIGNAL_BASE + sig)
        if self._server.jobs.accepts_jobs:
            self._server.jobs.cancel_soon(self._job_id)
        elif self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        async with self._server:
            follower = asyncio.create_task(self._follow()) if self._line.is_on else None
            if follower is not None:
                self._line.make_way_for_logs()
            try:
                ended = await self._server.jobs.submit_and_wait(
                    self._tool.name,
                    self._body,
                    wait_seconds=float("inf"),
                    job_id=self._job_id,
                    given_id=None if self._given_id == self._job_id else self._given_id,
                )
            finally:
                if follower is not None:
                    follower.cancel()
                self._line.clear()
        self._take(ended)

    def _take(self, ended: WaitResult) -> None:
        self.result = ended.result
        if ended.result is None:
            failure = ended.job.failure
            self.error = cancelled_text(ended.job) if failure is None else f"{failure.type}: {failure.message}"

    async def _follow(self) -> None:
        """Show what the tool reports, as it comes."""
        while True:
            with contextlib.suppress(JobNotFoundError):
                async for event in self._server.jobs.events(self._job_id):
                    self._show(event)
                return
            await asyncio.sleep(_LOOK_SECONDS)  # it is just being made

    def _show(self, event: Event) -> None:
        if not event.body:
            return
        body: dict[str, Any] = msgspec.json.decode(event.body)
        options = body.get("options")
        if body.get("name") == "progress" and isinstance(options, dict) and "done" in options:
            self._line.show(Progress(options["done"], options.get("total"), options.get("message")))
        elif isinstance(options, dict) and options.get("message"):
            self._line.tell(f"{body.get('name')}: {options['message']}")


# --- the file ---


def _request(tool: BoundTool, path: str, content: bytes) -> tuple[str | None, Payload]:
    """The id of the job, where the file says one, and the body of the request."""
    try:
        if looks_like_envelope(content):
            envelope = read_envelope(content)
            if envelope.fault is not None:
                raise ConfigurationError(f"{_shown(path)}: {envelope.fault.message}")
            given_id = None if envelope.given_id == UNKNOWN_JOB_ID else envelope.given_id
            return given_id, _checked(tool, tool.json_payload(envelope.request))
        if tool.read.is_binary:
            name = None if path == "-" else Path(path).name
            content_type = mimetypes.guess_type(path)[0] or OCTET_STREAM
            return None, _checked(tool, Payload(content, content_type, name))
        return None, _checked(tool, Payload(content, JSON))
    except RequestValidationError as error:
        raise ConfigurationError(f"{_shown(path)}: {_told(error, tool)}") from None


def _checked(tool: BoundTool, body: Payload) -> Payload:
    tool.read(body)
    return body


def _told(error: RequestValidationError, tool: BoundTool) -> str:
    """All faults of a request, one a line, and where to see what it should be."""
    faults = [f"  {_where(fault['loc'])}: {fault['msg']}" for fault in error.errors]
    return "\n".join(
        [
            f"this is no request for the tool '{tool.name}':",
            *faults,
            f"--print-tool-description {tool.name} shows what it takes; another tool is chosen by --tool",
        ]
    )


def _shown(path: str) -> str:
    return "stdin" if path == "-" else path


def _where(loc: Sequence[str | int]) -> str:
    return ".".join(map(str, loc[1:])) or "the request"


# --- the result ---


def _stand_in_for_stderr() -> None:
    """Have what is told lost where stderr was closed before the start, instead of failing, or being in the result."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """While the block lasts, what anybody prints goes to stderr: stdout is for the result alone."""
    if sys.stdout is None:  # it was closed before the start: the descriptor may be something else's now
        yield
        return
    try:
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError):  # it is closed
        yield
        return
    os.dup2(2 if sys.__stderr__ is not None else sys.stderr.fileno(), 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # a tool may have closed it
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _write(result: Payload) -> int:
    """Write a result to stdout; returns the exit code."""
    content = result.content
    kind = essence_of(result.content_type)
    is_text = is_json(result.content_type) or kind.startswith("text/")
    if is_json(result.content_type):
        with contextlib.suppress(msgspec.DecodeError):
            content = msgspec.json.format(content, indent=2)
    if is_text and not content.endswith(b"\n"):
        content += b"\n"
    if sys.stdout is None:
        return _lost("stdout is closed")
    try:
        if not is_text and sys.stdout.isatty():
            note = f"{len(content)} bytes of {kind}: not shown on a terminal; redirect stdout to a file"
            print(note, file=sys.stderr)
            return 0
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):  # Python would complain again at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _lost(str(error))
    return 0


def _lost(why: str) -> int:
    print(f"{Path(sys.argv[0]).name}: error: the result can't be written: {why}", file=sys.stderr)
    return _FAILED
