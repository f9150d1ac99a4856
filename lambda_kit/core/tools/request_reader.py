"""From what is kept of a request to what `run` takes, whatever door it came by."""

from collections.abc import Callable
from typing import Any

from lambda_kit.core.model.job import Payload
from lambda_kit.core.tools.binary_request import BinaryObject, binary_payload, binary_reader, is_binary_request
from lambda_kit.core.tools.results import JSON
from lambda_kit.core.tools.schema import request_decoder

__all__ = ["json_decoder", "json_payload", "request_reader"]

_decode_object = request_decoder(BinaryObject)


def json_decoder(tp: Any) -> Callable[[bytes], Any]:
    """Make the function that turns a request in JSON into an instance of `tp`, as `request_decoder` does.

    For a binary request it decodes the object that stands for a file.
    """
    if not is_binary_request(tp):
        return request_decoder(tp)
    read = binary_reader(tp)
    return lambda body: read(binary_payload(_decode_object(body)))


def json_payload(tp: Any, body: bytes) -> Payload:
    """What is kept of a request that came as JSON by a door that takes nothing else (MCP, batch, in process).

    Args:
        tp: The type of the tool's request.
        body: The JSON. For a binary request an object with ``content`` in base64, ``content_type`` and ``filename``:
            what is kept is the content, as if it had come over HTTP.

    Raises:
        RequestValidationError: if it is to be a file, and is no such object.
    """
    return binary_payload(_decode_object(body)) if is_binary_request(tp) else Payload(body, JSON)


def request_reader(tp: Any, decode: Callable[[bytes], Any]) -> Callable[[Payload], Any]:
    """Make the function that turns what is kept of a request into an instance of `tp`.

    Args:
        tp: The type of the tool's request.
        decode: Decodes it from JSON.
    """
    if is_binary_request(tp):
        return binary_reader(tp)
    return lambda body: decode(body.content)
