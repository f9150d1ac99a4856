"""What the server and its worker processes tell each other: msgpack, each message behind its length."""

from typing import Any

import msgspec

from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Failure, Outcome, Payload
from lambda_kit.core.tools.run import JobSpec

__all__ = [
    "LENGTH_BYTES",
    "AskReady",
    "Bye",
    "Cancel",
    "Done",
    "Exit",
    "Hello",
    "Logged",
    "Plan",
    "Readiness",
    "Reported",
    "RunJob",
    "SetUp",
    "ToServer",
    "ToWorker",
    "done",
    "from_worker",
    "to_frame",
    "to_worker",
]

LENGTH_BYTES = 8
"""Each message follows its length, an unsigned number of so many bytes, the highest first."""


class _Message(msgspec.Struct, tag=True, array_like=True):
    """Base of the messages."""


class Hello(_Message):
    """The first message of a worker, by which it is recognised."""

    token: str
    pid: int


class SetUp(_Message):
    """The tools of a worker are set up, and it can take a job."""

    error: str | None
    """Why that failed: the worker ends. None: it did not."""


class Reported(_Message):
    """A tool reported something."""

    job_id: str
    event: NewEvent


class Logged(_Message):
    """A line was logged in the worker."""

    record: dict[str, Any]
    """Attributes of the `logging.LogRecord`, the message complete and tracebacks as text."""


class Done(_Message):
    """A job has ended. Neither payload nor failure: it was cancelled."""

    job_id: str
    payload: Payload | None
    failure: Failure | None
    is_last: bool
    """Whether the worker takes no other."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return self.payload if self.payload is not None else self.failure


class Readiness(_Message):
    """The answer to `AskReady`."""

    reason: str | None
    """Which tool is not ready. None: all are."""


class Bye(_Message):
    """The worker has torn its tools down, and ends now."""


class Plan(_Message):
    """The answer to `Hello`: what the worker has to do."""

    tools: dict[str, bytes]
    """Pickled, by name."""
    log_level: int
    memory_limit_bytes: int | None
    max_jobs: int | None
    is_async: bool
    """Whether all tools are async: the event loop has the main thread then, else plain tools have it."""
    observers: list[bytes] = []
    """Pickled `JobObserver`s, of which `around_worker` and `around_run` are called."""


class RunJob(_Message):
    """Run a job. There is one at a time."""

    spec: JobSpec


class Cancel(_Message):
    """Ask a job to stop, if it still runs."""

    job_id: str


class AskReady(_Message):
    """Ask the tools whether they are ready."""


class Exit(_Message):
    """Tear the tools down and end."""


ToServer = Hello | SetUp | Reported | Logged | Done | Readiness | Bye
ToWorker = Plan | RunJob | Cancel | AskReady | Exit

_encoder = msgspec.msgpack.Encoder(enc_hook=repr)  # what was logged as an `extra` can be anything
_from_worker: msgspec.msgpack.Decoder[ToServer] = msgspec.msgpack.Decoder(ToServer)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def to_frame(message: ToServer | ToWorker) -> bytearray:
    """A message and its length before it."""
    frame = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, frame, LENGTH_BYTES)
    frame[:LENGTH_BYTES] = (len(frame) - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "big")
    return frame


def from_worker(body: bytes | bytearray) -> ToServer:
    """The message that a worker has sent."""
    return _from_worker.decode(body)


def to_worker(body: bytes | bytearray) -> ToWorker:
    """The message that a server has sent."""
    return _to_worker.decode(body)


def done(job_id: str, outcome: Outcome, *, is_last: bool) -> Done:
    """The message that tells of a job's end."""
    payload = outcome if isinstance(outcome, Payload) else None
    return Done(job_id, payload, outcome if isinstance(outcome, Failure) else None, is_last)
