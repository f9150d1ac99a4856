"""A request to run a tool, from whatever kind of caller."""

import hashlib
from typing import Any

import msgspec

from lambda_kit.core.model.form import form_digest
from lambda_kit.core.model.job import Failure, Payload
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.runtime.temporary_files import TemporaryFiles
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Submission", "digest_of"]


class Submission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to run a tool, from whatever kind of caller."""

    tool: BoundTool
    body: Payload
    """JSON bytes and their media type; a form as `encode_form` makes it; or any bytes, for a tool that takes them."""
    files: TemporaryFiles | None = None
    """The temporary files that a form refers to. They are closed when the job has ended here, or was not made."""
    value: Any = None
    """The decoded request, where the caller has it already."""
    job_id: str | None = None
    """The bare id that the caller chose."""
    given_id: str | None = None
    """The id as the platform gave it, where it differs from `job_id`."""
    idempotency_key: str | None = None
    """The caller's ``Idempotency-Key``."""
    request_info: RequestInfo | None = None
    authorization: str | None = None
    principal: Principal | None = None
    """Who asks. None: no authenticator is configured."""
    address: str | None = None
    """The client's IP address. Empty: it has none. None: it is not known, or who asks is no client, but the service's
    own code."""
    traceparent: str | None = None
    tracestate: str | None = None
    is_in_process: bool = False
    """Whether the service's own code asks, by `ToolServer.run_tool`."""
    transport: Any = None
    time_limit_seconds: float | None = None
    """For how long the caller lets the job run. None: as long as the tool may."""
    must_be_new: bool = False
    """Whether it is never attached to a job that has `job_id` already: it gets another id then."""
    call: bytes | None = None
    """What the door that took the request keeps with the job (`Job.call`)."""
    refusal: Failure | None = None
    """Why the request can't be run, where its sender has named the job and only the sinks can tell it why: the job is
    made and ends with this failure, also while the service stops. Its tool is not called. None: run it."""

    @property
    def principal_id(self) -> str | None:
        """The id of who asks. None: no authenticator is configured."""
        return None if self.principal is None else self.principal.id

    def __repr__(self) -> str:
        return f"Submission(tool={self.tool.name!r}, job_id={self.job_id!r})"  # the rest may be secret


def digest_of(body: Payload, *, is_form: bool = False) -> bytes:
    """Equal for equal requests: the same bytes of the same media type; of a form the same parts."""
    if is_form:
        return form_digest(body.content)
    digest = hashlib.blake2b(body.content, digest_size=16)
    digest.update(b"\0" + body.content_type.encode())
    return digest.digest()
