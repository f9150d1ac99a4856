"""The tools by which agents ask for jobs that take longer than a call waits."""

from collections.abc import Sequence

from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.core.tools.agent_tool import AgentTool
from lambda_kit.core.tools.options import ToolHints

__all__ = ["JOB_CANCEL", "JOB_RESULT", "built_in_tools", "longest_wait_seconds"]

JOB_RESULT = "job_result"
"""Takes ``job_id`` and ``wait_seconds``; answers what the call would have answered that made the job."""
JOB_CANCEL = "job_cancel"
"""Takes ``job_id``."""

_USUAL_SECONDS = 45.0

_JOB_ID = {"type": "string", "description": "The job_id that the tool call has answered."}


def longest_wait_seconds(options: McpOptions) -> float:
    """For how long ``job_result`` waits at most: as a call does, but also where calls do not wait at all."""
    return options.wait_seconds if options.wait_seconds >= 1 else _USUAL_SECONDS


def built_in_tools(options: McpOptions) -> Sequence[AgentTool]:
    """What clients are told of them. Where MCP is served no tool of the user's may have their names.

    Args:
        options: Of MCP: how long a call may wait.
    """
    seconds = longest_wait_seconds(options)
    longest = int(seconds) if seconds == int(seconds) else seconds  # for those who read it
    wait = {
        "type": "number",
        "minimum": 0,
        "maximum": longest,
        "default": longest,
        "description": "For how many seconds to wait for the result. 0: answer at once.",
    }
    return (
        AgentTool(
            name=JOB_RESULT,
            title="Get the result of a job",
            description=(
                "Get the result of a tool call that was answered with 'still running' and a job_id. Waits for it up to "
                "wait_seconds, and answers as the tool itself would have. If the job is still running then, call "
                "job_result again with the same job_id. Do not call the tool again: that would start the work anew."
            ),
            input_schema={
                "type": "object",
                "properties": {"job_id": _JOB_ID, "wait_seconds": wait},
                "required": ["job_id"],
            },
            hints=ToolHints(read_only=True, destructive=False, idempotent=True, open_world=False),
        ),
        AgentTool(
            name=JOB_CANCEL,
            title="Cancel a job",
            description=(
                "Stop the work of a tool call that was answered with 'still running' and a job_id, when its result is "
                "not needed any more. The result is lost. A job that has ended already stays as it is."
            ),
            input_schema={"type": "object", "properties": {"job_id": _JOB_ID}, "required": ["job_id"]},
            hints=ToolHints(read_only=False, destructive=True, idempotent=True, open_world=False),
        ),
    )
