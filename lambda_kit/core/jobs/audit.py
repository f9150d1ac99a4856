"""The audit log: what each principal asked for, and what became of it (docs/operations.md, Audit).

One line for each, at INFO by the logger `lambda_kit.audit`. Where no authenticator is configured, there is no principal
and nothing is logged.
"""

import functools
import json
import logging
import re

from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.model.refusal_reasons import reason_of

__all__ = ["acted", "listed", "refused", "submitted"]

logger = logging.getLogger("lambda_kit.audit")

_PLAIN = re.compile(r"[\w.:/@+~|-]+", re.ASCII).fullmatch


def submitted(outcome: str, submission: Submission, job: Job) -> None:
    """A request to run a tool has a job: ``accepted``, or ``attached`` to the one that it made before."""
    if submission.principal is not None:
        _write(outcome, submission.principal.id, job.tool, job.id, submission.address)


def refused(
    error: LambdaKitError,
    principal: Principal | None,
    address: str | None,
    *,
    tool: str | None = None,
    job_id: str | None = None,
) -> None:
    """A request was refused.

    Args:
        error: Why.
        principal: Who sent it. None: nobody knows.
        address: The client's IP address. None: it has none.
        tool: The tool that was to be run. None: that was not looked at.
        job_id: The id that the client has chosen. None: it has chosen none.
    """
    _write("refused", None if principal is None else principal.id, tool, job_id, address, reason=reason_of(error))


def acted(outcome: str, principal: Principal | None, address: str | None, job: Job) -> None:
    """A principal has ``cancelled`` a job, or, as an admin, read that of another (``read-by-admin``).

    Args:
        outcome: What it has done.
        principal: Who. None: no authenticator is configured, and nothing is logged.
        address: The client's IP address. None: it has none.
        job: The job.
    """
    if principal is not None:
        owner = None if job.principal == principal.id else job.principal
        _write(outcome, principal.id, job.tool, job.id, address, owner=owner)


def listed(principal: Principal | None, address: str | None, tool: str | None) -> None:
    """An admin has listed the jobs of all, of one tool or of all."""
    if principal is not None:
        _write("listed-by-admin", principal.id, tool, None, address)


def _write(
    outcome: str,
    principal: str | None,
    tool: str | None,
    job_id: str | None,
    address: str | None,
    *,
    owner: str | None = None,
    reason: str | None = None,
) -> None:
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"outcome": outcome, "principal": principal, "tool": tool, "job_id": job_id, "address": address}
    if owner is not None:
        fields["owner"] = owner
    if reason is not None:
        fields["reason"] = reason
    text = " ".join([f"{name}={_shown(value)}" for name, value in fields.items() if value is not None])
    # not by `logger.info`: that takes twice as long, to find who has called it
    record = logging.LogRecord(logger.name, logging.INFO, __file__, 0, text, None, None)
    record.__dict__.update(fields)
    logger.handle(record)


@functools.lru_cache(maxsize=1024)  # most are the same few principals, tools and addresses
def _shown(value: str) -> str:
    """A value that can't look like another field, or line: as a JSON string, unless it is a plain word."""
    return value if _PLAIN(value) else json.dumps(value)
