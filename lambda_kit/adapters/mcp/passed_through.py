"""Tools that say themselves what a call answers: ``run(...) -> mcp_types.CallToolResult``."""

from typing import Any

import msgspec
from mcp_types import methods
from pydantic_core import to_json

from lambda_kit.adapters.mcp.versions import has_any_structure, has_audio, has_links, has_structure
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import JSON

__all__ = ["passed_through"]

_MOST_BYTES = 8 * 2**20
"""Of all but the structured content: it is checked on the event loop. A larger result is shown as any other JSON."""

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def passed_through(payload: Payload, uri: str, version: str) -> bytes | None:
    """The result that a tool has made for its agents, with what this version of the protocol has of it.

    Args:
        payload: What a tool of such results has returned.
        uri: The job's, for what becomes an embedded resource.
        version: Of the protocol.

    Returns:
        The JSON; None: this is no such result, or too large for one.
    """
    if payload.content_type != JSON:
        return None
    try:
        payload.content.decode()  # structured content is put in as it is, and not looked at by the decoder
        members = _members_decoder.decode(payload.content)
        structured = bytes(members.pop("structuredContent", b"null"))
        if sum(map(len, members.values())) > _MOST_BYTES:
            return None
        said = {name: msgspec.json.decode(member) for name, member in members.items()}
        said["content"] = [_block(block, uri, version) for block in said["content"]]
        result = to_json(methods.serialize_server_result("tools/call", version, said))
    except (ValueError, LookupError, TypeError, RecursionError):  # the annotation can have other types, too
        return None
    if structured == b"null" or not (has_any_structure(version) or (has_structure(version) and structured[:1] == b"{")):
        return result
    return b'%b,"structuredContent":%b}' % (result[:-1], structured)


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
