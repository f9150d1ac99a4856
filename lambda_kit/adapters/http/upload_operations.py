"""What a tool's POST takes, as OpenAPI says it."""

from typing import Any

from lambda_kit.core.tools.binary_request import is_binary_request
from lambda_kit.core.tools.schema import json_schema
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["request_content"]


def request_content(tool: BoundTool) -> dict[str, Any]:
    """The schemas of the bodies that a tool takes, by media type."""
    tp = tool.signature.request_type
    if is_binary_request(tp):
        return {"*/*": {"description": "The file: the body as it is, of any media type."}}
    return {"application/json": json_schema(tp)}
