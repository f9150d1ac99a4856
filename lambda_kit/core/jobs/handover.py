"""What a caller in the same process hands to a tool: the request itself, and the body that is kept of it."""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import RootModel

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.tools.binary_request import BinaryRequest, binary_payload, is_binary_request
from lambda_kit.core.tools.decoding import is_typed_dict
from lambda_kit.core.tools.results import encode_json
from lambda_kit.core.tools.round_trip import difference
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["hand_over"]


def hand_over(request: Any, tool: BoundTool, *, is_read_again: bool) -> tuple[Payload, Any]:
    """Make the body of a job, and see that its tool gets the same request.

    Args:
        request: What the caller gave.
        tool: The tool that it is for.
        is_read_again: Whether the tool may read it from the body: in another process, or after a restart.

    Returns:
        The body, and the request itself where it is what the tool takes. None: it is made from the body.

    Raises:
        RequestValidationError: if it is no request for the tool, or would become another one.
    """
    expected: Any = tool.signature.request_type
    if is_binary_request(expected) and isinstance(request, (bytes, BinaryRequest)):
        return binary_payload(request), request if isinstance(request, expected) else None
    is_class = _is_class(expected)
    is_instance = any(_is_class(member) and isinstance(request, member) for member in _members(expected))
    if is_class and not is_instance and not _is_material(request, expected):
        raise _refused(f"the request must be {_words(expected)}, not {_kind(request, expected)}")
    try:
        body = encode_json(request)
    except (TypeError, ValueError) as error:
        raise _refused(f"the request, a {type(request).__name__}, can't be encoded as JSON: {error}") from None
    is_json_enough = not is_read_again if is_instance else is_class or _is_plain(request)
    if not is_json_enough:
        _check_round_trip(request, body, tool)
    return tool.json_payload(body), request if is_instance else None


def _is_class(tp: Any) -> bool:
    """Whether it can be asked what is an instance of a type."""
    return isinstance(tp, type) and get_origin(tp) is None and not is_typed_dict(tp)


def _members(tp: Any) -> tuple[Any, ...]:
    """The types that a union is made of, or the type itself."""
    if get_origin(tp) is Annotated:
        return _members(get_args(tp)[0])
    return get_args(tp) if get_origin(tp) in (Union, UnionType) else (tp,)


def _is_material(request: Any, expected: type[Any]) -> bool:
    """Whether it is plain data of the kind that a model is made from. Whether it fits is seen when it is decoded."""
    material = (dict, list, str, int, float, NoneType) if issubclass(expected, RootModel) else dict
    return isinstance(request, material)


def _is_plain(value: Any) -> bool:
    """Whether it is data as JSON has it, and no model is in it."""
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if type(value) is list else type(value) in (str, int, float, bool, NoneType)


def _words(expected: type[Any]) -> str:
    if expected is bytes:
        return "bytes, a BinaryRequest, or a dict with 'content' in base64"
    return f"a {expected.__name__}, or a dict with its fields"


def _kind(request: Any, expected: type[Any]) -> str:
    if isinstance(request, type):
        return f"the class {request.__name__}: make an instance"
    kind = type(request)
    is_namesake = kind.__name__ == expected.__name__  # of a module that was imported twice, say
    return f"the {kind.__name__} of the module '{kind.__module__}'" if is_namesake else f"a {kind.__name__}"


def _check_round_trip(request: Any, body: bytes, tool: BoundTool) -> None:
    """Refuse a request that its tool would not get as it is."""
    name = type(request).__name__
    try:
        way = difference(request, tool.decode(body))
        reason = f"{f'{name}.{way}' if way else name} is another value after it was encoded and decoded"
    except RequestValidationError as error:
        way, reason = "", f"{name} can't be read from its own JSON ({error})"
    if way is not None:
        raise _refused(
            f"tool '{tool.name}' reads this request from JSON, and {reason}: "
            "pass plain data, such as a dict with its fields, as a client would send it"
        )


def _refused(message: str) -> RequestValidationError:
    return RequestValidationError(message, [{"loc": ["body"], "msg": message, "type": "request_type"}])
