"""What tests of MCP ask of a service by HTTP: what became of a job."""

import httpx

from tests.mcp.streams import SseEvent

__all__ = ["end_of", "job_of", "newest_job", "status_of"]

_BOUND_SECONDS = 60


def job_of(event: SseEvent) -> str:
    """The job whose stream an event with an id is of."""
    assert event.id is not None, event
    return event.id.rpartition("/")[0]


def status_of(url: str, job_id: str) -> str:
    """The status of a job now."""
    status: str = httpx.get(f"{url}/jobs/{job_id}/status", timeout=_BOUND_SECONDS).json()["status"]
    return status


def end_of(url: str, job_id: str) -> str:
    """The status with which a job has ended."""
    prefer = {"prefer": f"wait={_BOUND_SECONDS}"}
    answer = httpx.get(f"{url}/jobs/{job_id}", headers=prefer, timeout=2 * _BOUND_SECONDS)
    assert answer.status_code not in (202, 204), f"job {job_id} did not end"
    return status_of(url, job_id)


def newest_job(url: str, tool: str) -> str:
    """The id of the newest job of a tool. The service was started with ``--job-list``."""
    items = httpx.get(f"{url}/jobs", params={"tool": tool, "limit": 1}, timeout=_BOUND_SECONDS).json()["items"]
    job_id: str = items[0]["id"]
    return job_id.removeprefix("urn:ivcap:job:")
