"""Media types, as header fields, parts of forms and tools say them (RFC 9110, 8.3)."""

import re

from lambda_kit.core.model.http_syntax import TOKEN

__all__ = ["JSON", "OCTET_STREAM", "charset_of", "essence_of", "is_json", "is_media_type"]

JSON = "application/json"

OCTET_STREAM = "application/octet-stream"
"""The media type of bytes of which nothing is said."""

_LONGEST = 1024
_OWS = " \t"

# two tokens, and parameters of visible ASCII: nothing that could start another header field
_MEDIA_TYPE = re.compile(rf"{TOKEN}/{TOKEN}[ \t]*+(;[ -~]*+)?")
_JSON_SUFFIX = re.compile(r"[^\s/,]++/[^\s/,]+\+json")
_PARAMETER = re.compile(r';[ \t]*+([^\s;="]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^\s;"]*+)')


def is_media_type(text: str) -> bool:
    """Whether it is a media type, with or without parameters, and of no more than 1,024 characters."""
    return len(text) <= _LONGEST and _MEDIA_TYPE.fullmatch(text) is not None


def essence_of(content_type: str) -> str:
    """Type and subtype in lower case: ``image/svg+xml`` of ``Image/SVG+xml; charset=utf-8``."""
    return content_type.partition(";")[0].strip(_OWS).lower()


def is_json(content_type: str) -> bool:
    """Whether it is ``application/json``, or ends in ``+json`` (RFC 6839, 3.1)."""
    essence = essence_of(content_type)
    return essence == JSON or _JSON_SUFFIX.fullmatch(essence) is not None


def charset_of(content_type: str) -> str | None:
    """The first ``charset`` among the parameters, in lower case. None: there is none."""
    for parameter in _PARAMETER.finditer(content_type):
        if parameter[1].lower() == "charset":
            return parameter[2].strip('"').lower()
    return None
