"""A request to run a tool, from whatever kind of caller."""

import hashlib
from typing import Any

import msgspec

from lambda_kit.core.model.form import form_digest
from lambda_kit.core.model.job import Payload
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
    idempotency_key: str | None = None
    """The caller's ``Idempotency-Key``."""
    request_info: RequestInfo | None = None
    authorization: str | None = None
    principal: str | None = None
    """The id of the principal that asks. None: no authenticator is configured."""
    traceparent: str | None = None
    tracestate: str | None = None
    transport: Any = None
    time_limit_seconds: float | None = None
    """For how long the caller lets the job run. None: as long as the tool may."""

    def __repr__(self) -> str:
        return f"Submission(tool={self.tool.name!r}, job_id={self.job_id!r})"  # the rest may be secret


def digest_of(body: Payload, *, is_form: bool = False) -> bytes:
    """Equal for equal requests: the same bytes of the same media type; of a form the same parts."""
    if is_form:
        return form_digest(body.content)
    digest = hashlib.blake2b(body.content, digest_size=16)
    digest.update(b"\0" + body.content_type.encode())
    return digest.digest()
