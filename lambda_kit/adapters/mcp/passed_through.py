"""Tools that say themselves what a call answers: ``run(...) -> mcp_types.CallToolResult``."""

from typing import Any

from mcp_types import methods
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from lambda_kit.adapters.mcp.versions import has_any_structure, has_audio, has_links, has_structure
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import JSON

__all__ = ["passed_through"]


def passed_through(payload: Payload, uri: str, version: str) -> bytes | None:
    """The result that a tool has made for its agents, with what this version of the protocol has of it.

    Args:
        payload: What a tool of such results has returned.
        uri: The job's, for what becomes an embedded resource.
        version: Of the protocol.

    Returns:
        The JSON; None: this is no such result.
    """
    if payload.content_type != JSON:
        return None
    said = from_json(payload.content)
    if not isinstance(said, dict) or not isinstance(said.get("content"), list):
        return None
    said["content"] = [_block(block, uri, version) for block in said["content"]]
    structured = said.get("structuredContent")
    if not has_structure(version) or not (has_any_structure(version) or isinstance(structured, dict)):
        said.pop("structuredContent", None)
    try:
        return to_json(methods.serialize_server_result("tools/call", version, said))
    except ValidationError:
        return None


def _block(block: Any, uri: str, version: str) -> Any:
    """A block of content as the version knows it."""
    if not isinstance(block, dict):
        return block
    if not has_links(version):
        if block.get("type") == "resource_link":
            return {"type": "text", "text": f"{block.get('name')}: {block.get('uri')}"}
        block = {name: value for name, value in block.items() if name != "_meta"}
    if block.get("type") == "audio" and not has_audio(version):
        held = {"uri": uri, "mimeType": block.get("mimeType"), "blob": block.get("data")}
        return {"type": "resource", "resource": held}
    return block
