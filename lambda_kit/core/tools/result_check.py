"""Whether a tool returns what its annotation promises. The value decides what is sent; a mismatch is only logged."""

import logging
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from lambda_kit.core.model.media_type import essence_of
from lambda_kit.core.tools.media_types import declared_media_types
from lambda_kit.core.tools.results import BinaryResult, encodable
from lambda_kit.core.tools.type_names import type_name

__all__ = ["ResultCheck"]

logger = logging.getLogger("lambda_kit.job")

_ALSO: dict[type[Any], tuple[type[Any], ...]] = {float: (int,), complex: (int, float), bytes: (bytearray, memoryview)}


class ResultCheck:
    """Logs, once, that a tool returned something else than it is annotated with. Values inside are not looked at.

    Args:
        tool: The tool's name.
        annotation: The return annotation of its `run`.
    """

    __slots__ = ("_annotation", "_classes", "_media_types", "_tool")

    def __init__(self, tool: str, annotation: Any) -> None:
        self._tool = tool
        self._annotation = annotation
        self._classes = _classes(annotation)
        self._media_types = declared_media_types(annotation)

    def look_at(self, value: object) -> None:
        """Log if it does not fit, unless that was said before."""
        if self._classes is not None and not isinstance(value, self._classes):
            self._classes = None
            self._warn(f"a {type(value).__name__}", type_name(self._annotation))
        elif self._media_types and isinstance(value, BinaryResult):
            self._look_at_media_type(value.content_type)

    def _look_at_media_type(self, content_type: str) -> None:
        if essence_of(content_type) not in self._media_types:
            self._warn(f"'{encodable(content_type)}'", " or ".join(f"'{text}'" for text in self._media_types))
            self._media_types = ()

    def _warn(self, returned: str, annotated: str) -> None:
        logger.warning(
            "tool '%s' returned %s, but is annotated with %s; it is sent as it is, and this is not said again",
            self._tool,
            returned,
            annotated,
        )


def _classes(annotation: Any) -> tuple[type[Any], ...] | None:
    """What `isinstance` can be asked of a value. None: there is no telling, anything fits."""
    if annotation is None:
        return (type(None),)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _classes(get_args(annotation)[0])
    if origin in (Union, UnionType):
        members = [_classes(member) for member in get_args(annotation)]
        known = [cls for member in members if member is not None for cls in member]
        return None if None in members else tuple(known)
    alias = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
    if alias is not None:  # `type X = ...` and NewType
        return _classes(alias)
    cls = annotation if origin is None else origin
    if not isinstance(cls, type) or cls is object:
        return None
    try:
        isinstance(None, cls)
    except TypeError:  # a TypedDict, a Protocol
        return None
    return (cls, *_ALSO.get(cls, ()))
