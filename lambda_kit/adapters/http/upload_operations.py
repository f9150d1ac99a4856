"""What a tool's POST takes, as OpenAPI says it."""

from typing import Any

from lambda_kit.adapters.http.components import Models
from lambda_kit.core.tools.binary_request import is_binary_request
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["request_content"]


def request_content(tool: BoundTool, models: Models) -> dict[str, Any]:
    """The media types that a tool takes, each with its schema."""
    if is_binary_request(tool.signature.request_type):
        return {"*/*": {"schema": {"description": "The file: the body as it is, of any media type."}}}
    return {"application/json": {"schema": models.schema(tool.name, "validation")}}
