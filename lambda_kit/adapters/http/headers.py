"""Reading request headers: pure functions over what the client sent.

A raw header list is ASGI's: pairs of bytes, names in lower case. Every function here refuses a malformed
value with `HeaderError` and raises nothing else. The rules are those of docs/wire.md.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.job import JOB_URN_PREFIX, bare_job_id
from lambda_kit.core.model.media_type import JSON, charset_of, essence_of, is_json

__all__ = [
    "MAX_WAIT_SECONDS",
    "HeaderError",
    "RawHeaders",
    "header",
    "header_values",
    "is_json_content_type",
    "media_type",
    "parse_idempotency_key",
    "parse_job_id",
    "parse_time_limit",
    "parse_timeout",
    "shown",
]

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]
"""Headers as ASGI hands them over, names in lower case."""

MAX_WAIT_SECONDS: Final = 2.0**31
"""Longer waits are cut to this: what RFC 9111 section 1.2.2 says of a delta-seconds that overflows."""

_SHOWN_CHARS = 80
_OWS = " \t"

_SECONDS = re.compile(r"[0-9]++(?:\.[0-9]++)?+|\.[0-9]++")
_KEY_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*+)"')
_KEY_BARE = re.compile(r"[!#-+\--:<-\[\]-~]++")
_KEY_MAX_CHARS = 255
# names of UTF-8 and of its subset: no other encoding is JSON's on the wire (RFC 8259 section 8.1)
_UTF8_NAMES = frozenset({"ascii", "us-ascii", "utf-8", "utf8"})


class HeaderError(BadRequestError):
    """A request header is malformed.

    Args:
        header: What the client knows it by: the header's name, or where else the value stood.
        message: What is wrong with it and what is allowed.
    """

    def __init__(self, header: str, message: str) -> None:
        super().__init__(f"{header}: {message}")
        self.header = header
        self.message = message


def shown(value: str) -> str:
    """A value as an error text may show it: escaped to ASCII, at most 80 characters of it."""
    text = ascii(value[:_SHOWN_CHARS])
    if len(value) <= _SHOWN_CHARS and len(text) <= _SHOWN_CHARS + 2:
        return text
    return f"{text[:_SHOWN_CHARS]}..."


def header_values(raw: RawHeaders, name: bytes) -> list[str]:
    """The values of every header of that name, in order, without surrounding white space.

    Args:
        raw: The request's headers.
        name: The header's name in lower case.
    """
    return [value.decode("latin-1").strip(_OWS) for key, value in raw if key == name]


def header(raw: RawHeaders, name: bytes) -> str | None:
    """The value of a header, or None when it was not sent.

    Several headers of one name are joined by commas (RFC 9110 section 5.2), so that a header which may be
    given only once is malformed when it is given twice.
    """
    values = header_values(raw, name)
    return ", ".join(values) if values else None


def parse_timeout(value: str) -> float:
    """The `Timeout` header: seconds to wait for the result.

    Returns:
        Seconds, at least 0 and at most `MAX_WAIT_SECONDS`.

    Raises:
        HeaderError: if it is not a decimal number of at least 0 (signs, exponents, "inf" and "nan" included).
    """
    text = value.strip(_OWS)
    seconds = float(text) if _SECONDS.fullmatch(text) else float("inf")
    if seconds == float("inf"):
        raise HeaderError(
            "Timeout",
            f"{shown(value)} is not a number of seconds; allowed: decimal, at least 0, like 5 or 0.25",
        )
    return min(seconds, MAX_WAIT_SECONDS)


def parse_time_limit(value: str) -> float:
    """The `Job-Time-Limit` header: for how many seconds the job may run.

    Returns:
        Seconds, above 0 and at most `MAX_WAIT_SECONDS`.

    Raises:
        HeaderError: if it is not a decimal number above 0.
    """
    text = value.strip(_OWS)
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0.0 < seconds < float("inf"):
        raise HeaderError(
            "Job-Time-Limit", f"{shown(value)} is not a number of seconds; allowed: decimal, above 0, like 60 or 0.5"
        )
    return min(seconds, MAX_WAIT_SECONDS)


def parse_job_id(value: str, where: str = "job-id") -> str:
    """The bare id of a job that is named by its id or its URN (`bare_job_id`).

    Args:
        value: The id, or ``urn:ivcap:job:<id>``.
        where: What an error calls the value.

    Raises:
        HeaderError: if it is neither.
    """
    job_id = bare_job_id(value)
    if job_id is None:
        raise HeaderError(
            where,
            f"{shown(value)} is not a job id; allowed: 1 to 128 of A-Z a-z 0-9 . _ : - "
            f"(not '.' or '..'), alone or after '{JOB_URN_PREFIX}'",
        )
    return job_id


def parse_idempotency_key(value: str) -> str:
    """The key in an `Idempotency-Key` header, without its quotes.

    The standard's form is a quoted string (draft-ietf-httpapi-idempotency-key-header, RFC 9651
    section 3.3.3); as many clients send the key bare, that is the same key.

    Raises:
        HeaderError: if it is neither, is empty or is longer than 255 characters.
    """
    key = ""
    if quoted := _KEY_QUOTED.fullmatch(value):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _KEY_BARE.fullmatch(value):
        key = value
    if not key.strip() or len(key) > _KEY_MAX_CHARS:
        raise HeaderError(
            "Idempotency-Key",
            f"{shown(value)} is not a key; allowed: 1 to 255 printable ASCII characters in double quotes "
            '(\\ and " escaped by \\), or bare if they hold no space, comma, semicolon, quote or backslash',
        )
    return key


def media_type(value: str | None) -> str:
    """The media type in a `Content-Type` header, in lower case, without parameters; absent counts as JSON."""
    return JSON if value is None else essence_of(value) or JSON


def is_json_content_type(value: str | None) -> bool:
    """Whether a `Content-Type` header announces JSON in UTF-8: ``application/json``, ``+json``, or nothing.

    Other encodings are refused: JSON between systems is UTF-8 (RFC 8259 section 8.1).
    """
    if value is None:
        return True
    return is_json(media_type(value)) and (charset_of(value) or "utf-8") in _UTF8_NAMES
