"""Who sent a request, and so which jobs exist for it."""

from typing import Any

from litestar import Request

from lambda_kit.core.jobs.service import JobService

__all__ = ["jobs_for"]


def jobs_for(service: JobService, request: Request[Any, Any, Any]) -> JobService:
    """The door to the jobs for whoever sent a request. Without an authenticator, knowing an id is the right to read."""
    return service.acting_for(None)
