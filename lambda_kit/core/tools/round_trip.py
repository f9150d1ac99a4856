"""Whether a request is still the same after JSON, for callers in Python whose request is handed over as bytes."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

__all__ = ["difference"]


def difference(sent: Any, read: Any, where: str = "") -> str | None:
    """Where two values differ: the way to the first member that is another one, such as ``items.0.name``.

    Members are compared one by one, so that a model without an ``__eq__`` of its own can be compared, too. NaN is NaN.

    Args:
        sent: A value.
        read: What it became.
        where: The way to them.

    Returns:
        None if they are the same. Empty: the values as a whole.
    """
    if sent is read:
        return None
    if type(sent) is not type(read):
        return where
    members = _members(sent)
    if members is None:
        return None if _is_same(sent, read) else where
    others = _members(read) or {}
    if members.keys() != others.keys():
        return where
    ways = ((f"{where}.{name}" if where else str(name), name) for name in members)
    found = (difference(members[name], others[name], way) for way, name in ways)
    return next((way for way in found if way is not None), None)


def _members(value: Any) -> dict[Any, Any] | None:
    """What a value consists of. None: it is one by itself."""
    if isinstance(value, BaseModel):
        return {**dict(value), **(value.__pydantic_private__ or {})}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    return None


def _is_same(sent: Any, read: Any) -> bool:
    if isinstance(sent, float):
        return sent == read or (math.isnan(sent) and math.isnan(read))
    equals: object = type(sent).__eq__
    if equals is object.__eq__:  # such as a lock: nothing tells one from another
        return True
    try:
        return bool(sent == read)
    except Exception:  # noqa: BLE001 - whatever a class of the user's does; numpy's arrays refuse to be true or false
        return hasattr(sent, "tolist") and difference(sent.tolist(), read.tolist()) is None
