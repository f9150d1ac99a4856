"""`IvcapSidecarSink`: tells the platform's sidecar of events and results."""

import re
import time
from collections.abc import Sequence
from urllib.parse import quote

import httpx
import ivcap_service

from lambda_kit.adapters.ivcap.environment import SIDECAR_VARIABLE, sidecar_url
from lambda_kit.adapters.ivcap.patience import Patience
from lambda_kit.adapters.ivcap.sidecar_client import Answer, Fields, NoAnswerError, NoConnectionError, SidecarClient
from lambda_kit.adapters.ivcap.sidecar_messages import end_message
from lambda_kit.adapters.ivcap.sidecar_times import SidecarTimes
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.trace import trace_headers
from lambda_kit.core.ports.sink import DeliveryError, DeliveryRefusedError, JobEnd, JobSink

__all__ = ["IvcapSidecarSink"]

_JSON = (b"Content-Type", b"application/json")
_SENDABLE = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110, 5.5


class IvcapSidecarSink(JobSink):
    """Tells the sidecar of the IVCAP platform what tools report and how jobs end (docs/sidecar.md).

    `ToolServer` has one by itself where ``$IVCAP_BASE_URL`` is set, unless it is given one. Events are sent in order,
    then the result, as `POST <url>/events/<job id>` and `POST <url>/results/<job id>`. Jobs of `ToolServer.run_tool`
    are the service's own business: the sidecar is not told of them.

    Args:
        base_url: The sidecar's URL. None: what ``$IVCAP_BASE_URL`` says.
        times: How patient it is.

    Raises:
        ConfigurationError: if there is no URL, or it is none of HTTP.
    """

    name = "ivcap-sidecar"
    max_events = 1
    takes_status_events = False
    bounds_its_calls = True

    def __init__(self, base_url: str | None = None, *, times: SidecarTimes | None = None) -> None:
        url = sidecar_url(base_url)
        if url is None:
            raise ConfigurationError(
                f"IvcapSidecarSink(): ${SIDECAR_VARIABLE} is not set: set it, or give the sidecar's URL, such as "
                "IvcapSidecarSink('http://ivcap.local')"
            )
        self._times = times or SidecarTimes()
        self._client = SidecarClient(url, self._times)
        self._is_hurried = False
        self._patience: dict[str, Patience] = {}  # of the jobs that are in trouble: `forget` removes them

    async def start(self) -> None:
        self._is_hurried = False
        await self._client.open()

    async def stop(self) -> None:
        self._patience.clear()
        await self._client.close()

    def hurry(self) -> None:
        self._is_hurried = True
        self._client.hurry()
        for patience in self._patience.values():
            patience.hurry()

    def forget(self, job_id: str) -> None:
        self._patience.pop(job_id, None)

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        if job.is_in_process or ivcap_service.is_sidecar_delivery_disabled():
            return
        fields = _fields(job, authorization)
        if end is None:
            await self._deliver_event(job, events[0], fields)
        else:
            await self._deliver_end(job, end, fields)

    async def _deliver_event(self, job: Job, event: Event, fields: Fields) -> None:
        is_time_out, answer = False, None
        try:
            answer = await self._post(job, "events", event.body, [*fields, _JSON])
        except NoAnswerError as error:
            why, is_time_out = str(error), error.is_time_out
        else:
            if answer.is_delivered:
                if job.id in self._patience:
                    self._patience[job.id].no_trouble()
                return
            why = str(answer)
            if answer.is_final_refusal:
                raise DeliveryRefusedError(f"event {event.seq}: {why}")
        patience = self._patience_of(job)
        has_ended = job.status.is_final
        left = patience.trouble_with_event(event.seq, time.monotonic(), has_ended=has_ended, is_time_out=is_time_out)
        if left is None:
            text = f"event {event.seq} was tried for long enough: {why}"
            raise DeliveryRefusedError(text, reason="given-up", drops_all_events=has_ended)
        pause = patience.next_pause(None if answer is None else answer.retry_after_seconds, left)
        raise DeliveryError(f"event {event.seq}: {why}", retry_after_seconds=pause)

    async def _deliver_end(self, job: Job, end: JobEnd, fields: Fields) -> None:
        message = end_message(job, end)
        more = [
            (b"Content-Type", message.content_type.encode("latin-1", "replace")),
            (b"Is-Error", b"True" if message.is_error else b"False"),
        ]
        answer: Answer | None = None
        try:
            answer = await self._post(job, "results", message.content, [*fields, *more])
        except NoAnswerError as error:
            why = str(error)
        else:
            if answer.is_delivered:
                return
            why = str(answer)
        is_unauthorized = answer is not None and answer.status in (401, 403)
        if answer is not None and answer.is_final_refusal and not is_unauthorized:
            raise DeliveryRefusedError(f"the result: {why}")
        patience = self._patience_of(job)
        patience.trouble_with_end()
        pause = patience.next_pause(None if answer is None else answer.retry_after_seconds)
        raise DeliveryError(f"the result: {why}", retry_after_seconds=pause, is_unauthorized=is_unauthorized)

    async def _post(self, job: Job, what: str, content: bytes, fields: Fields) -> Answer:
        try:
            return await self._client.post(
                f"/{what}/{_in_path(job.id_as_given)}", content, fields, is_event=what == "events"
            )
        except NoConnectionError as error:
            if job.id in self._patience:
                self._patience[job.id].no_trouble()
            raise DeliveryError(str(error), is_unreachable=True) from None
        except (httpx.LocalProtocolError, httpx.InvalidURL) as error:  # such as an id of 100,000 characters
            raise DeliveryRefusedError(f"{what}: it can't be sent: {error}", reason="not-sendable") from None

    def _patience_of(self, job: Job) -> Patience:
        patience = self._patience.get(job.id)
        if patience is None:
            patience = self._patience[job.id] = Patience(self._times)
            if self._is_hurried:
                patience.hurry()
        return patience


def _in_path(job_id: str) -> str:
    # a dot would be a step in the path
    return "%2E" * len(job_id) if job_id in (".", "..") else quote(job_id, safe=":")


def _fields(job: Job, authorization: str | None) -> list[tuple[bytes, bytes]]:
    """The header fields of every call of a job."""
    fields = [(b"Ivcap-Job-Id", quote(job.id_as_given, safe=":/").encode())]
    if authorization and _SENDABLE.fullmatch(authorization):
        fields.append((b"Authorization", authorization.encode("latin-1")))
    fields.extend(
        (name.encode(), value.encode("latin-1"))
        for name, value in trace_headers(job).items()
        if _SENDABLE.fullmatch(value)
    )
    return fields
