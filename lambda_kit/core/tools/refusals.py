"""What is said of a body that is no JSON or does not fit: where and why, never what was given, and bounded in size."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic import ValidationError

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.tools.schema_field import SCHEMA_MEMBER

__all__ = ["fault", "not_json", "refusal", "refused", "refused_by_msgspec", "refused_by_pydantic"]

_MOST_ERRORS = 100
"""How many faults an error report names."""

_BODY = "body"
_TEXT_CHARACTERS = 2000
_STEP_CHARACTERS = 200
_STEPS = 100
_PATH = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_LOCATED = re.compile(r"(?P<text>.*) - at (?:`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_ECHOING = re.compile(r"(?P<text>Invalid (?:enum )?value) .*", re.DOTALL)


def refused_by_pydantic(error: ValidationError, name: str) -> RequestValidationError:
    """What is wrong, from pydantic's error, which must not have many thousands of faults: all of them are made here."""
    details = error.errors(include_url=False, include_input=False)
    return refusal(name, [fault(detail["loc"], _text(detail), detail["type"]) for detail in details])


def _text(detail: Any) -> str:
    if detail["type"] == "union_tag_invalid":  # pydantic's text repeats what was given
        return f"Input tag does not match any of the expected tags: {detail['ctx']['expected_tags']}"
    return str(detail["msg"])


def refused_by_msgspec(error: msgspec.ValidationError, name: str) -> RequestValidationError:
    """What is wrong, from msgspec's text, such as ``Expected `int`, got `str` - at `$.a.b[0]` ``."""
    message = str(error)
    loc: list[str | int] = []
    if located := _LOCATED.fullmatch(message):
        message = located["text"]
        for step, index, anywhere in _PATH.findall(located["path"]):
            loc.append(int(index) if index else step or anywhere)
    return refusal(name, [_located(loc, message)])


def _located(loc: list[str | int], message: str) -> dict[str, Any]:
    if missing := _MISSING.fullmatch(message):
        return fault([*loc, missing["field"]], "Field required", "missing")
    if unknown := _UNKNOWN.fullmatch(message):
        return fault([*loc, unknown["field"]], "Extra inputs are not permitted", "extra_forbidden")
    if echoing := _ECHOING.fullmatch(message):
        return fault(loc, echoing["text"], "enum")
    if message.startswith(f"{SCHEMA_MEMBER} must be "):
        return fault([*loc, SCHEMA_MEMBER], message, "value_error")
    return fault(loc, message, "type_error" if ", got `" in message else "value_error")


def not_json(error: Exception, body: bytes, name: str) -> RequestValidationError:
    """The body is empty, or no JSON."""
    if not body.strip():
        return _empty_body(name)
    if isinstance(error, UnicodeDecodeError):
        reason = "JSON must be UTF-8"
    elif isinstance(error, RecursionError):
        reason = "nested too deeply"
    else:
        reason = str(error)
    return refused(name, f"Invalid JSON: {reason}", "json_invalid")


def refused(name: str, message: str, kind: str = "value_error") -> RequestValidationError:
    """The body as a whole is refused.

    Args:
        name: The request type's name.
        message: Why, without anything that was sent.
        kind: The `type` of the fault.
    """
    return refusal(name, [fault([], message, kind)])


def _empty_body(name: str) -> RequestValidationError:
    return refused(name, "Field required", "missing")


def fault(loc: Sequence[str | int], message: str, kind: str) -> dict[str, Any]:
    """One fault of a body, its texts cut where they are long.

    Args:
        loc: The way to it, without ``"body"``.
        message: What is wrong, without anything that was sent.
        kind: Its `type`.
    """
    steps = [_shortened(step, _STEP_CHARACTERS) if isinstance(step, str) else step for step in loc[:_STEPS]]
    return {"loc": [_BODY, *steps], "msg": _shortened(message, _TEXT_CHARACTERS), "type": kind}


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def refusal(name: str, errors: list[dict[str, Any]]) -> RequestValidationError:
    """The body is refused for these faults, of which at most 100 are told."""
    first = errors[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = f"The request does not fit {name}: {where}: {first['msg']}{more}"
    return RequestValidationError(message, errors[:_MOST_ERRORS])
