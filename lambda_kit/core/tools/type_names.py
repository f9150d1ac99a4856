"""How a type is called in texts for people and agents: as it is written, without modules."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

__all__ = ["type_name"]


def type_name(tp: Any) -> str:
    """For example ``Greet``, ``list[Item]``, ``Cat | Dog``."""
    origin = get_origin(tp)
    if origin is Annotated:
        return type_name(get_args(tp)[0])
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(member) for member in get_args(tp))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, get_args(tp)))}]"
    if tp is type(None):
        return "None"
    if tp is Ellipsis:
        return "..."
    if origin is not None and get_args(tp):
        return f"{type_name(origin)}[{', '.join(type_name(argument) for argument in get_args(tp))}]"
    return str(getattr(tp, "__name__", None) or repr(tp))
