"""What implementers of stores, executors and sinks import.

A store extends `JobStoreBase`, or `LocalJobStore` if it is for one process and has its jobs in memory; its test extends
`lambda_kit.testing.JobStoreContract`. An executor implements `Executor`, a sink `JobSink`.
"""

from lambda_kit.core.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LeaseLostError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueueFullError,
    RateLimitedError,
    StoreFullError,
    ToolDefinitionError,
    UnavailableError,
)
from lambda_kit.core.model.events import (
    Event,
    EventKind,
    EventPage,
    NewEvent,
    first_events,
    report_event,
    status_event,
)
from lambda_kit.core.model.job import (
    Failure,
    FailureKind,
    Job,
    JobStatus,
    Outcome,
    Payload,
    Progress,
)
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.model.transitions import (
    check_transition,
    claim_job,
    end_job,
    holds_claim,
    reap_job,
    requeue_job,
)
from lambda_kit.core.ports.authenticator import Authenticator, Credentials
from lambda_kit.core.ports.executor import Executor, ExecutorHost, ExecutorStats, Run
from lambda_kit.core.ports.local_parts import Entry
from lambda_kit.core.ports.local_store import LocalJobStore
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason, Outbox, Right, right_to_deliver
from lambda_kit.core.ports.part import ServerPart
from lambda_kit.core.ports.sink import DeliveryError, DeliveryRefusedError, JobEnd, JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.ports.store_base import Decide, JobStoreBase, Step, StoredJob, log_of
from lambda_kit.core.ports.store_clock import StoreClock
from lambda_kit.core.ports.store_records import (
    cursor_number,
    decode_event,
    decode_job,
    encode_event,
    encode_job,
    holds_lease,
    is_expired,
    job_from_members,
    job_members,
    lease_lost,
    new_cursor,
    share_full,
)
from lambda_kit.core.ports.store_types import (
    Change,
    Claim,
    ClaimRequest,
    Created,
    JobPage,
    Lease,
    OnChange,
    Renewal,
)
from lambda_kit.core.ports.subscriptions import Subscriptions, change_of
from lambda_kit.core.ports.token_buckets import Taken
from lambda_kit.core.ports.token_buckets import take as take_token
from lambda_kit.core.tools.run import JobSpec

__all__ = [
    "AuthenticationError",
    "Authenticator",
    "BadRequestError",
    "Change",
    "Claim",
    "ClaimRequest",
    "ConfigurationError",
    "Created",
    "Credentials",
    "Decide",
    "Delivery",
    "DeliveryError",
    "DeliveryPart",
    "DeliveryRefusedError",
    "DropReason",
    "Dropped",
    "Entry",
    "Event",
    "EventKind",
    "EventPage",
    "Executor",
    "ExecutorHost",
    "ExecutorStats",
    "Failure",
    "FailureKind",
    "Job",
    "JobEnd",
    "JobObserver",
    "JobPage",
    "JobSink",
    "JobSpec",
    "JobStatus",
    "JobStore",
    "JobStoreBase",
    "Lease",
    "LeaseLostError",
    "LocalJobStore",
    "NewEvent",
    "OnChange",
    "Outbox",
    "Outcome",
    "Payload",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Principal",
    "Progress",
    "QueueFullError",
    "RateLimitedError",
    "Renewal",
    "RequestInfo",
    "Right",
    "Run",
    "ServerPart",
    "Step",
    "StoreClock",
    "StoreFullError",
    "StoredJob",
    "Subscriptions",
    "Taken",
    "ToolDefinitionError",
    "UnavailableError",
    "change_of",
    "check_transition",
    "claim_job",
    "cursor_number",
    "decode_event",
    "decode_job",
    "encode_event",
    "encode_job",
    "end_job",
    "first_events",
    "holds_claim",
    "holds_lease",
    "is_expired",
    "job_from_members",
    "job_members",
    "lease_lost",
    "log_of",
    "new_cursor",
    "reap_job",
    "report_event",
    "requeue_job",
    "right_to_deliver",
    "share_full",
    "status_event",
    "take_token",
]
