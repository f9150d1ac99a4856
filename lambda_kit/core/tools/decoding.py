"""From a request's bytes to its model: decoded and validated once, refused without repeating its values."""

import dataclasses
import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import from_json

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.tools.schema_field import SCHEMA_MEMBER

__all__ = ["is_class", "needs_pydantic", "request_decoder"]

_BODY = "body"
_REPORTED_ERRORS = 100
_PATH = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_LOCATED = re.compile(r"(?P<text>.*) - at (?:`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_ECHOING = re.compile(r"(?P<text>Invalid (?:enum )?value) .*", re.DOTALL)


def request_decoder(tp: Any) -> Callable[[bytes], Any]:
    """Make the function that turns a request's JSON into an instance of `tp`.

    Pydantic models and dataclasses that use pydantic are validated by pydantic, Structs and other dataclasses
    by msgspec; either way in one pass over the bytes.

    Returns:
        A function of the body. It raises `RequestValidationError` when the body is empty, is not JSON, or
        does not fit `tp`; its errors say where and why, never what was given, which may be a secret.

    Raises:
        pydantic.errors.PydanticUserError: The model is not fully defined, or has a field that pydantic can't
            validate.
        TypeError: msgspec can't decode a field's type.
    """
    name = getattr(tp, "__name__", str(tp))
    if is_class(tp, BaseModel):
        tp.model_rebuild()
        return _pydantic_decoder(tp.__pydantic_validator__.validate_json, name)
    if needs_pydantic(tp):
        return _pydantic_decoder(TypeAdapter(tp).validate_json, name)
    decode = msgspec.json.Decoder(tp, dec_hook=_nested_model).decode
    if is_class(tp, msgspec.Struct):
        return _msgspec_decoder(decode, name)
    return _msgspec_decoder(lambda body: _with_own_defaults(decode(body)), name)


def is_class(tp: Any, base: type = object) -> bool:
    """Whether `tp` is a class, of the given kind; a generic alias such as `list[int]` is none."""
    return isinstance(tp, type) and get_origin(tp) is None and issubclass(tp, base)


def needs_pydantic(tp: Any) -> bool:
    """Whether only pydantic can validate `tp`: it is or contains a pydantic type, field or constraint.

    A Struct counts as msgspec's, whatever it contains.
    """
    return _needs_pydantic(tp, set())


def _needs_pydantic(tp: Any, seen: set[int]) -> bool:
    if id(tp) in seen:
        return False
    seen.add(id(tp))
    if get_origin(tp) is Annotated:
        bare, *metadata = get_args(tp)
        return any(_is_pydantic_metadata(item) for item in metadata) or _needs_pydantic(bare, seen)
    if get_origin(tp) is not None:
        return any(_needs_pydantic(argument, seen) for argument in (get_origin(tp), *get_args(tp)))
    if not is_class(tp):
        # NewType and `type X = ...` name what they stand for.
        target = getattr(tp, "__supertype__", None) or getattr(tp, "__value__", None)
        return target is not None and _needs_pydantic(target, seen)
    if is_class(tp, msgspec.Struct):
        return False
    if is_class(tp, BaseModel) or is_pydantic_dataclass(tp):
        return True
    if dataclasses.is_dataclass(tp):
        return _dataclass_needs_pydantic(tp, seen)
    return hasattr(tp, "__get_pydantic_core_schema__")


def _dataclass_needs_pydantic(tp: Any, seen: set[int]) -> bool:
    if any(isinstance(field.default, FieldInfo) for field in dataclasses.fields(tp)):
        return True
    hints = get_type_hints(tp, include_extras=True).values()
    # msgspec refuses InitVar, pydantic passes it to `__post_init__`.
    return any(isinstance(hint, dataclasses.InitVar) or _needs_pydantic(hint, seen) for hint in hints)


def _is_pydantic_metadata(item: Any) -> bool:
    package = type(item).__module__.partition(".")[0]
    return package in {"annotated_types", "pydantic"} or hasattr(item, "__get_pydantic_core_schema__")


def _pydantic_decoder(validate: Callable[[bytes], Any], name: str) -> Callable[[bytes], Any]:
    def decode(body: bytes) -> Any:
        try:
            if b"NaN" in body or b"Infinity" in body:  # pydantic takes them for numbers, JSON has no such (RFC 8259)
                from_json(body, allow_inf_nan=False)
            return validate(body)
        except ValidationError as error:
            refusal = _refused_by_pydantic(error, body, name)
        except ValueError as error:
            refusal = _not_json(error, body, name)
        # Outside the handler, so that no traceback carries pydantic's text, which repeats the input.
        raise refusal

    return decode


def _refused_by_pydantic(error: ValidationError, body: bytes, name: str) -> RequestValidationError:
    if not body.strip():
        return _empty_body(name)
    errors = [
        _error([_BODY, *detail["loc"]], detail["msg"], detail["type"])
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return _refusal(name, errors)


def _msgspec_decoder(decode_json: Callable[[bytes], Any], name: str) -> Callable[[bytes], Any]:
    def decode(body: bytes) -> Any:
        try:
            return decode_json(body)
        except msgspec.ValidationError as error:
            refusal = _refusal(name, [_located_error(str(error))])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refusal = _not_json(error, body, name)
        # Outside the handler, so that no traceback carries msgspec's text, which may repeat the input.
        raise refusal

    return decode


def _with_own_defaults(value: Any) -> Any:
    """Give each dataclass inside the defaults as values of its own.

    msgspec leaves plain defaults to the class, where its encoder does not look: they would be missing in a result.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            member = _with_own_defaults(getattr(value, field.name))
            if field.name not in getattr(value, "__dict__", (field.name,)):
                object.__setattr__(value, field.name, member)  # also where it is frozen
    elif isinstance(value, dict):
        for member in value.values():
            _with_own_defaults(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _with_own_defaults(member)
    return value


def _nested_model(tp: Any, value: Any) -> Any:
    """Decode a pydantic model inside a Struct (msgspec calls this for types that it doesn't know)."""
    if not is_class(tp, BaseModel):
        raise NotImplementedError(f"{tp!r} can't be made from JSON")
    try:
        return tp.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _not_json(error: Exception, body: bytes, name: str) -> RequestValidationError:
    if not bytes(body).strip():
        return _empty_body(name)
    if isinstance(error, UnicodeDecodeError):
        reason = "JSON must be UTF-8"
    elif isinstance(error, RecursionError):
        reason = "nested too deeply"
    else:
        reason = str(error)
    return _refusal(name, [_error([_BODY], f"Invalid JSON: {reason}", "json_invalid")])


def _located_error(message: str) -> dict[str, Any]:
    """One error from msgspec's text, such as ``Expected `int`, got `str` - at `$.a.b[0]` ``."""
    loc: list[str | int] = [_BODY]
    if located := _LOCATED.fullmatch(message):
        message = located["text"]
        for name, index, anywhere in _PATH.findall(located["path"]):
            loc.append(int(index) if index else name or anywhere)
    if missing := _MISSING.fullmatch(message):
        return _error([*loc, missing["field"]], "Field required", "missing")
    if unknown := _UNKNOWN.fullmatch(message):
        return _error([*loc, unknown["field"]], "Extra inputs are not permitted", "extra_forbidden")
    if echoing := _ECHOING.fullmatch(message):
        return _error(loc, echoing["text"], "enum")
    if message.startswith(f"{SCHEMA_MEMBER} must be "):
        return _error([*loc, SCHEMA_MEMBER], message, "value_error")
    return _error(loc, message, "type_error" if ", got `" in message else "value_error")


def _error(loc: list[str | int], message: str, kind: str) -> dict[str, Any]:
    return {"loc": loc, "msg": message, "type": kind}


def _empty_body(name: str) -> RequestValidationError:
    return _refusal(name, [_error([_BODY], "Field required", "missing")])


def _refusal(name: str, errors: list[dict[str, Any]]) -> RequestValidationError:
    first = errors[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = f"The request does not fit {name}: {where}: {first['msg']}{more}"
    # A body can be wrong in a million places; an answer that lists them all would help nobody.
    return RequestValidationError(message, errors[:_REPORTED_ERRORS])
