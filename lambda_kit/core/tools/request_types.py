"""Which annotations make a parameter of `run` the tool's request."""

import types
import typing
from collections import abc
from typing import Annotated, Any, Union, get_args, get_origin

from lambda_kit.core.tools.binary_request import is_binary_request
from lambda_kit.core.tools.decoding import is_class, is_typed_dict
from lambda_kit.core.tools.schema import is_request_model

__all__ = ["bare_annotation", "is_request", "request_type"]

_COLLECTIONS = (abc.Mapping, abc.Sequence, abc.Set)
_NO_COLLECTIONS = (str, bytes, bytearray, memoryview, range)


def bare_annotation(annotation: Any) -> Any:
    """An annotation without `Annotated` and an optional `None`."""
    if get_origin(annotation) is Annotated:
        return bare_annotation(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return bare_annotation(members[0])
    return annotation


def is_request(tp: Any) -> bool:
    """Whether `tp` is what a tool can take: a model, a file, or what JSON Schema can say of several or many.

    That is a TypedDict or named tuple, a list, dict, tuple or set of anything, and a union of any of these. A text, a
    number or any other single value is none: agents pass arguments by name, and it has none.
    """
    if is_binary_request(tp):
        return True
    origin = get_origin(tp)
    if origin is Annotated:
        return is_request(get_args(tp)[0])
    if origin in (Union, types.UnionType):
        members = get_args(tp)
        return all(is_request(member) and not is_binary_request(member) for member in members)
    named = getattr(tp, "__value__", None) or getattr(tp, "__supertype__", None)
    if named is not None and not isinstance(tp, type):  # `type X = ...` and NewType
        return is_request(named)
    if origin is not None:  # a collection of something, or a generic model
        return is_request_model(origin) or _is_collection(origin)
    return isinstance(tp, type) and (is_request_model(tp) or is_typed_dict(tp) or _is_collection(tp))


def request_type(annotation: Any) -> Any:
    """What a parameter takes, by its annotation: there is always a request, so an optional ``None`` is dropped.

    `Annotated` is dropped around a model, and kept where it says how a union is read.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        bare, *metadata = get_args(annotation)
        kept = request_type(bare)
        return kept if is_class(kept) else Annotated[(kept, *metadata)]
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return request_type(members[0]) if len(members) == 1 else typing.Union[tuple(members)]  # noqa: UP007
    return annotation


def _is_collection(tp: Any) -> bool:
    return is_class(tp) and issubclass(tp, _COLLECTIONS) and not issubclass(tp, _NO_COLLECTIONS)
