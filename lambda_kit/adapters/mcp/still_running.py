"""What an agent is told of a job that takes longer than its client waits."""

from lambda_kit.adapters.mcp.built_in_tools import JOB_CANCEL, JOB_RESULT
from lambda_kit.adapters.mcp.catalog import CatalogTool
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.results import text_result
from lambda_kit.adapters.mcp.versions import has_structure
from lambda_kit.core.model.job import Job, JobStatus

__all__ = ["still_running"]


def still_running(request: McpRequest, job: Job, tool: CatalogTool | None) -> bytes:
    """Tell how to get the result of a job that has not ended.

    It is no error. But of a tool with an output schema clients take nothing that does not fit it, except errors: of the
    SDKs those for Python and TypeScript raise, and the agent would never learn of the job.

    Args:
        request: What is answered.
        job: The job.
        tool: The tool that was called, where it is that of the job. None: another one.
    """
    state = "still running" if job.status is not JobStatus.PENDING else "still running: it waits for its turn"
    text = (
        f"{state}. job_id: {job.id}\n\nThis is no failure: do not call the tool again. Call the tool {JOB_RESULT} with "
        f'{{"job_id": "{job.id}"}} to wait for the result, again until it is there. To stop the work, call '
        f"{JOB_CANCEL} with the same."
    )
    is_checked = tool is not None and tool.agent.output_schema is not None and has_structure(request.version)
    return text_result(request, text, is_error=is_checked)
