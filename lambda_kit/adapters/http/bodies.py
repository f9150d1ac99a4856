"""What tools take and send, as OpenAPI says it: their models, and the media types of their results."""

from collections.abc import Callable, Iterable
from functools import partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import ivcap_service

from lambda_kit.adapters.http.components import Models
from lambda_kit.core.model.media_type import JSON, OCTET_STREAM
from lambda_kit.core.tools.binary_request import is_binary_request
from lambda_kit.core.tools.media_types import declared_media_types
from lambda_kit.core.tools.model_schemas import ModelSchemas, SchemaMode, model_schemas
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["models_of", "result_content"]

# the older of the two forms is the one that most generators know
_BINARY = {"type": "string", "format": "binary", "contentMediaType": OCTET_STREAM}

_BYTES = (bytes, bytearray, memoryview)


class _Declared:
    """In place of a `BinaryResult` whose media type is declared."""


def models_of(tools: Iterable[BoundTool]) -> Models:
    """The models that these tools take and send."""
    uses: dict[tuple[str, SchemaMode], Callable[[], ModelSchemas]] = {}
    for tool in tools:
        if not is_binary_request(tool.signature.request_type):
            uses[tool.name, "validation"] = partial(model_schemas, tool.signature.request_type, "validation")
        uses[tool.name, "serialization"] = partial(_result_schemas, tool.signature.result_type)
    return Models(uses)


def result_content(tool: BoundTool, models: Models) -> dict[str, Any]:
    """The media types that a tool sends, each with its schema (docs/wire.md, Results)."""
    members = _members(tool.signature.result_type)
    content: dict[str, Any] = {}
    if Any in members or object in members:
        content[JSON] = {}
    elif _json_members(members):
        content[JSON] = {"schema": models.schema(tool.name, "serialization")}
    if str in members:
        content["text/plain"] = {"schema": {"type": "string"}}
    for media_type in declared_media_types(tool.signature.result_type):
        content[media_type] = {"schema": {**_BINARY, "contentMediaType": media_type}}
    if any(member in _BYTES or _is_binary(member) for member in members):
        content[OCTET_STREAM] = {"schema": _BINARY}
    if any(_is_any_type(member) for member in members):
        content["*/*"] = {}
    return content


def _result_schemas(annotation: Any) -> ModelSchemas:
    members = _json_members(_members(annotation))
    whole = len(members) == len(_members(annotation))
    if not members:
        return ModelSchemas({})
    return model_schemas(annotation if whole else Union[tuple(members)], "serialization")  # noqa: UP007


def _members(annotation: Any) -> list[Any]:
    """The alternatives of a return annotation."""
    if get_origin(annotation) is Annotated and isinstance(get_args(annotation)[0], type | UnionType):
        bare = get_args(annotation)[0]
        if declared_media_types(annotation):
            return [_Declared]
        return _members(bare) if bare is str or bare in _BYTES or _is_any_type(bare) else [annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [one for member in get_args(annotation) for one in _members(member)]
    return [annotation]


def _json_members(members: list[Any]) -> list[Any]:
    others = (str, _Declared, *_BYTES)
    return [one for one in members if one not in others and not _is_binary(one)]


def _is_binary(tp: Any) -> bool:
    return isinstance(tp, type) and issubclass(tp, ivcap_service.BinaryResult)


def _is_any_type(tp: Any) -> bool:
    """Whether a value of the type may be sent as anything."""
    return tp is Any or tp is object or _is_binary(tp)
