"""The media types that a tool says its binary results have: ``-> Annotated[BinaryResult, "image/png"]``."""

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from lambda_kit.core.model.media_type import essence_of
from lambda_kit.core.tools.results import BinaryResult

__all__ = ["declared_media_types"]

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


def declared_media_types(annotation: Any) -> tuple[str, ...]:
    """What is declared of the `BinaryResult` in a return annotation, lower case, without parameters (RFC 9110, 8.3.1).

    Several may be declared, in one `Annotated` or in a union of such. Empty: nothing is.
    """
    if get_origin(annotation) is Annotated:
        bare, *metadata = get_args(annotation)
        if not (isinstance(bare, type) and issubclass(bare, BinaryResult)):
            return declared_media_types(bare)
        texts = (essence_of(item) for item in metadata if isinstance(item, str))
        return tuple(dict.fromkeys(text for text in texts if _MEDIA_TYPE.fullmatch(text)))
    if get_origin(annotation) in (Union, UnionType):
        members = get_args(annotation)
        return tuple(dict.fromkeys(text for member in members for text in declared_media_types(member)))
    return ()
