"""Who sent a request, and so which jobs exist for it."""

from litestar.types import HTTPScope

from lambda_kit.core.jobs.service import JobService

__all__ = ["jobs_for"]


def jobs_for(service: JobService, scope: HTTPScope) -> JobService:
    """The door to the jobs for whoever sent a request. Without an authenticator, knowing an id is the right to read."""
    return service.acting_for(None)
