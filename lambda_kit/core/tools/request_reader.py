"""From what is kept of a request to what `run` takes, whatever door it came by."""

from collections.abc import Callable
from typing import Any

from lambda_kit.core.model.form import FORM
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import JSON
from lambda_kit.core.runtime.collector import collector_paused
from lambda_kit.core.tools.binary_request import BinaryObject, binary_payload, binary_reader, is_binary_request
from lambda_kit.core.tools.form_reader import form_reader
from lambda_kit.core.tools.schema import request_decoder

__all__ = ["RequestReader", "json_decoder", "json_payload"]

# of so much JSON millions of objects may be made
_LARGE_BYTES = 256 * 1024

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


class RequestReader:
    """Turns what is kept of the requests of one tool into instances of `tp`.

    Args:
        tp: The type of the tool's request.
        decode: Decodes it from JSON.
    """

    __slots__ = ("_binary", "_decode", "form", "is_binary")

    def __init__(self, tp: Any, decode: Callable[[bytes], Any]) -> None:
        self.is_binary = is_binary_request(tp)
        """Whether a body is taken as it is, whatever its type."""
        self.form = None if self.is_binary else form_reader(tp, decode)
        """Reads forms. None: they are not taken, the request has no files."""
        self._binary = binary_reader(tp) if self.is_binary else None
        self._decode = decode

    def is_form(self, body: Payload) -> bool:
        """Whether a body is a form, as `encode_form` makes it."""
        return self.form is not None and body.content_type == FORM

    def __call__(self, body: Payload) -> Any:
        """The request.

        Raises:
            RequestValidationError: if the body does not fit it.
        """
        if self._binary is not None:
            return self._binary(body)
        if self.form is not None and body.content_type == FORM:
            return self.form.read(body.content)
        if len(body.content) < _LARGE_BYTES:
            return self._decode(body.content)
        with collector_paused():
            return self._decode(body.content)
