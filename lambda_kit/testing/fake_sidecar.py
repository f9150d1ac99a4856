"""`FakeSidecar`: a stand-in for the sidecar of the IVCAP platform."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Literal
from urllib.parse import unquote

from lambda_kit.core.model.job import JOB_URN_PREFIX
from lambda_kit.testing.recording_server import Answer
from lambda_kit.testing.stand_in import StandIn

__all__ = ["FakeSidecar", "SidecarCall"]

DONE = {"$schema": "urn:ivcap:schema.service.batch.done.1"}
"""What ``GET /next_job`` answers when there are no more jobs."""

_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SidecarCall:
    """One request that the sidecar got."""

    method: str
    path: str
    """As it was sent."""
    headers: "Message[str, str]" = field(repr=False)
    """Names in any case: ``call.headers["Ivcap-Job-Id"]`` is None where the field is missing."""
    body: bytes
    time: float
    """When it was read, in seconds since the epoch."""
    status: int | None
    """What it was answered. None: it was not (`FakeSidecar.hang`)."""

    @property
    def kind(self) -> str:
        """``"events"``, ``"results"`` or ``"next_job"``: how its path begins."""
        return self.path.lstrip("/").partition("?")[0].partition("/")[0]

    @property
    def job_id(self) -> str:
        """The bare id of the job in its path. Empty where there is none."""
        return _bare(unquote(self.path.lstrip("/").partition("?")[0].partition("/")[2]))

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


Only = Literal["events", "results", "next_job"] | Callable[[SidecarCall], bool] | None
"""Which calls something is for: those of a kind, those for which a function says so, or (None) all."""


@dataclass(slots=True)
class _Rule:
    """What happens to some calls."""

    only: Only
    times: int | None
    status: int | None
    headers: Mapping[str, str]
    body: bytes

    def is_for(self, call: SidecarCall) -> bool:
        return self.only is None or (self.only(call) if callable(self.only) else call.kind == self.only)


class FakeSidecar(StandIn):
    """A sidecar for tests: a real HTTP server on a port of 127.0.0.1 that records what it is told.

    ::

        with FakeSidecar() as sidecar:
            monkeypatch.setenv("IVCAP_BASE_URL", sidecar.url)
            ...
            result = sidecar.wait_for_result(job_id)
            assert result.headers["Is-Error"] == "False"
            assert [call.json()["name"] for call in sidecar.of(job_id)[:-1]] == ["load", "load"]

    It answers 200 unless it is told to `fail`, `delay`, `hang` or `vanish`; what was told last counts first, and `heal`
    ends it all. All methods may be called from any thread. With pytest the fixture ``fake_sidecar`` is one that runs.

    Args:
        port: The port. 0: any that is free.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._news = threading.Condition()
        self._calls: list[SidecarCall] = []
        self._rules: list[_Rule] = []
        self._delay_seconds = 0.0
        self._jobs: deque[tuple[bytes, dict[str, str]]] = deque()

    # --- what it was told ---

    @property
    def url(self) -> str:
        """What ``$IVCAP_BASE_URL`` has to be. It stays the same when the sidecar vanishes and comes back."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[SidecarCall]:
        """Every call so far, in the order in which they came."""
        with self._news:
            return list(self._calls)

    def of(self, job_id: str) -> list[SidecarCall]:
        """The calls of one job, by its bare id or URN."""
        return [call for call in self.calls if call.job_id == _bare(job_id)]

    # --- what it does ---

    def queue(
        self,
        job: str | bytes | Mapping[str, Any],
        request: Any = None,
        *,
        authorization: str | None = None,
        content_type: str = "application/json",
    ) -> None:
        """Add a job that ``GET /next_job`` hands out. After the last one it answers that all is done.

        Args:
            job: The job's id. Or the envelope, with id and request; bytes are sent as they are.
            request: The tool's request, as data. Only with an id.
            authorization: The ``Authorization`` header of the answer, which is the job's.
            content_type: Of the request.
        """
        if isinstance(job, str):
            job = {"id": job, "in-content-type": content_type, "in-content": request}
        body = job if isinstance(job, bytes) else json.dumps(job).encode()
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        with self._news:
            self._jobs.append((body, headers))

    def fail(
        self,
        status: int,
        times: int | None = None,
        *,
        retry_after: str | float | None = None,
        only: Only = None,
        body: str | bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with this status, which may be any.

        Args:
            status: The HTTP status.
            times: How many calls are answered so. None: all from now on.
            retry_after: The ``Retry-After`` header.
            only: For which calls: ``"events"``, ``"results"``, ``"next_job"``, or a function that says so of a
                call.
            body: The body of the answer.
            headers: Its header fields.
        """
        fields = dict(headers or {})
        if retry_after is not None:
            fields["Retry-After"] = str(retry_after)
        text = body.encode() if isinstance(body, str) else body
        self._add(_Rule(only, times, status, fields, text))

    def hang(self, times: int | None = None, *, only: Only = None) -> None:
        """Take calls and never answer them. `times` and `only` as for `fail`."""
        self._add(_Rule(only, times, None, {}, b""))

    def delay(self, seconds: float) -> None:
        """Answer each call that comes from now on so much later. 0: at once."""
        with self._news:
            self._delay_seconds = seconds

    def heal(self) -> None:
        """Answer 200, at once, from now on. Calls that hang are not answered any more."""
        with self._news:
            self._rules.clear()
            self._delay_seconds = 0.0

    # --- waiting ---

    def wait_for(
        self, what: int | Callable[[list[SidecarCall]], Any], within_seconds: float = _WAIT_SECONDS
    ) -> list[SidecarCall]:
        """Wait until there are so many calls, or until a function of all calls says that it is enough.

        It blocks the thread: where the service runs on this thread's event loop, use `until`.

        Returns:
            All calls.

        Raises:
            AssertionError: if that does not come true in time; shows the calls.
        """
        holds: Callable[[list[SidecarCall]], Any] = what if callable(what) else lambda calls: len(calls) >= what
        with self._news:
            if self._news.wait_for(lambda: holds(list(self._calls)), within_seconds):
                return list(self._calls)
            lines = [f"  {call.method} {call.path} -> {call.status} {call.body[:100]!r}" for call in self._calls]
        raise AssertionError("\n".join([f"not seen within {within_seconds:g} s, but {len(lines)} calls:", *lines]))

    def wait_for_result(self, job_id: str, within_seconds: float = _WAIT_SECONDS) -> SidecarCall:
        """Wait until the result of a job was delivered (answered 2xx), and return that call."""

        def delivered(calls: list[SidecarCall]) -> list[SidecarCall]:
            results = (call for call in calls if call.kind == "results" and call.job_id == _bare(job_id))
            return [call for call in results if call.status is not None and 200 <= call.status < 300]

        return delivered(self.wait_for(delivered, within_seconds))[0]

    async def until(
        self, what: int | Callable[[list[SidecarCall]], Any], within_seconds: float = _WAIT_SECONDS
    ) -> list[SidecarCall]:
        """As `wait_for`, without blocking the event loop."""
        return await asyncio.to_thread(self.wait_for, what, within_seconds)

    # --- inside ---

    def _add(self, rule: _Rule) -> None:
        with self._news:
            self._rules.append(rule)

    def _on_request(self, method: str, path: str, headers: "Message[str, str]", body: bytes) -> Answer | None:
        closing = self._closing
        with self._news:
            delay_seconds = self._delay_seconds
        if delay_seconds and closing.wait(delay_seconds):
            return None
        with self._news:
            call = SidecarCall(method, path, headers, body, time.time(), None)
            answer = self._answer_to(call)
            status = None if answer is None else answer.status
            self._calls.append(SidecarCall(method, path, headers, body, call.time, status))
            self._news.notify_all()
        if answer is None:
            closing.wait()
        return answer

    def _answer_to(self, call: SidecarCall) -> Answer | None:
        rule = next((rule for rule in reversed(self._rules) if rule.is_for(call)), None)
        if rule is None:
            if call.kind != "next_job":
                return Answer(200, {}, b"")
            job, headers = self._jobs.popleft() if self._jobs else (json.dumps(DONE).encode(), {})
            return Answer(200, {"Content-Type": "application/json", **headers}, job)
        if rule.times is not None:
            rule.times -= 1
            if rule.times <= 0:
                self._rules.remove(rule)
        return None if rule.status is None else Answer(rule.status, rule.headers, rule.body)


def _bare(job_id: str) -> str:
    return job_id.removeprefix(JOB_URN_PREFIX)
