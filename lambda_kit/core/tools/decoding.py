"""From a request's bytes to its model: decoded and validated once."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.tools.guarded_schema import Guards, guarded, traits_of
from lambda_kit.core.tools.msgspec_traits import MsgspecTraits
from lambda_kit.core.tools.refusals import not_json, refused, refused_by_msgspec, refused_by_pydantic
from lambda_kit.core.tools.type_names import type_name
from lambda_kit.core.tools.union_depth import UnionDepth
from lambda_kit.core.tools.uploaded_file import UploadedFile, file_from_json
from lambda_kit.core.tools.value_checks import (
    NotFiniteError,
    TooManyError,
    check_finite,
    check_keys,
    counter,
    may_be_infinite,
)

__all__ = ["is_class", "is_typed_dict", "needs_pydantic", "request_decoder"]

_SMALL_BYTES = 65536
_FEW_KEYS_BYTES = 16384
"""A smaller body has no room for so many numbers of one hash that a set of them would take long."""
_SOUGHT_FAULTS = 5000
"""All faults are looked for in a body that can't have more. In others each list and dict stops at its first one."""
_LISTED_FAULTS = 1000
"""To make a list of more would cost more than to find them."""
_NO_GUARDS = Guards()
"""Of most bodies."""


def request_decoder(tp: Any) -> Callable[[bytes], Any]:
    """Make the function that turns a request's JSON into an instance of `tp`.

    Pydantic models and dataclasses that use pydantic are validated by pydantic, Structs and other dataclasses
    by msgspec; either way in one pass over the bytes, and a body that does not fit costs no more than one that does.

    Returns:
        A function of the body. It raises `RequestValidationError` when the body is empty, is not JSON, or
        does not fit `tp`; its errors say where and why, never what was given, which may be a secret.

    Raises:
        pydantic.errors.PydanticUserError: The model is not fully defined, or has a field that pydantic can't
            validate.
        TypeError: msgspec can't decode a field's type.
    """
    name = type_name(tp)
    if is_class(tp, BaseModel):
        tp.model_rebuild()
    if needs_pydantic(tp):
        return _PydanticDecoder(tp, name)
    try:
        return _MsgspecDecoder(tp, name)
    except TypeError:  # such as for a union of two dataclasses
        with contextlib.suppress(PydanticUserError):
            return _PydanticDecoder(tp, name)
        raise


def is_class(tp: Any, base: type = object) -> bool:
    """Whether `tp` is a class, of the given kind; a generic alias such as `list[int]` is none."""
    return isinstance(tp, type) and get_origin(tp) is None and issubclass(tp, base)


def is_typed_dict(tp: Any) -> bool:
    """Whether `tp` is a TypedDict of `typing` or of `typing_extensions`: a class without instances."""
    return is_class(tp, dict) and hasattr(tp, "__required_keys__")


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
    if is_typed_dict(tp) or hasattr(tp, "_fields"):
        return any(_needs_pydantic(hint, seen) for hint in get_type_hints(tp, include_extras=True).values())
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


class _PydanticDecoder:
    """Validates by pydantic's schema of a type, with the guards that a body calls for."""

    def __init__(self, tp: Any, name: str) -> None:
        self._schema = TypeAdapter(tp).core_schema
        self._name = name
        self._traits = traits_of(self._schema)
        self._depth = UnionDepth(self._schema)
        self._validators: dict[Guards, SchemaValidator] = {}
        self._validator(_NO_GUARDS)

    def __call__(self, body: bytes) -> Any:
        if self._depth.is_too_deep(body):
            raise refused(self._name, "Nested too deeply in a union of models that has no discriminator", "too_deep")
        traits = self._traits
        most_bytes = _FEW_KEYS_BYTES if traits.has_unkeyed_hashes else _SMALL_BYTES
        is_small = len(body) < most_bytes and body.count(b",") * traits.parts < _SOUGHT_FAULTS
        may_have_infinite = traits.has_any and may_be_infinite(body)
        guards = _NO_GUARDS if is_small and not may_have_infinite else Guards(not is_small, may_have_infinite)
        return self._validated(SchemaValidator.validate_json, body, guards)

    def nested(self, value: Any) -> Any:
        """Validate what has been parsed already."""
        guards = Guards(fail_fast=True, finite_anything=self._traits.has_any)
        return self._validated(SchemaValidator.validate_python, value, guards)

    def _validated(self, validate: Callable[[SchemaValidator, Any], Any], given: Any, guards: Guards) -> Any:
        refusal: RequestValidationError | None
        if guards.fail_fast:
            counter.start()
        try:
            return validate(self._validator(guards), given)
        except ValidationError as error:
            if error.error_count() > _LISTED_FAULTS and not guards.fail_fast:
                refusal = None
            elif error.error_count() > _LISTED_FAULTS:
                refusal = refused(self._name, f"More than {_LISTED_FAULTS} faults", "too_many_errors")
            elif isinstance(given, bytes) and not given.strip():
                refusal = not_json(error, given, self._name)
            else:
                refusal = refused_by_pydantic(error, self._name)
        except TooManyError as error:
            refusal = refused(self._name, str(error))
        # Outside the handler, so that no traceback carries pydantic's text, which repeats the input.
        if refusal is None:
            return self._validated(validate, given, guards._replace(fail_fast=True))
        try:
            raise refusal
        finally:
            del refusal  # its traceback holds this frame, and with it the body

    def _validator(self, guards: Guards) -> SchemaValidator:
        validator = self._validators.get(guards)
        if validator is None:
            # Without the validators that the models have already: these have no guards.
            schema = guarded(self._schema, guards, self._traits)
            validator = self._validators[guards] = SchemaValidator(schema, _use_prebuilt=False)
        return validator


class _MsgspecDecoder:
    """Decodes by msgspec, which stops at the first fault by itself."""

    def __init__(self, tp: Any, name: str) -> None:
        decode = msgspec.json.Decoder(tp, dec_hook=_nested_model).decode
        self._decode = decode if is_class(tp, msgspec.Struct) else lambda body: _with_own_defaults(decode(body))
        self._name = name
        self._traits = MsgspecTraits(tp)

    def __call__(self, body: bytes) -> Any:
        try:
            if self._traits.has_unkeyed_hashes and len(body) >= _FEW_KEYS_BYTES:
                check_keys(body)
            value = self._decode(body)
            if self._traits.has_infinite and may_be_infinite(body):
                check_finite(value)
            return value
        except msgspec.ValidationError as error:
            refusal = refused_by_msgspec(error, self._name)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refusal = not_json(error, body, self._name)
        except (TooManyError, NotFiniteError) as error:
            refusal = refused(self._name, str(error))
        # Outside the handler, so that no traceback carries msgspec's text, which may repeat the input.
        try:
            raise refusal
        finally:
            del refusal  # its traceback holds this frame, and with it the body


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


@functools.lru_cache(maxsize=1024)
def _nested_decoder(tp: type[BaseModel]) -> _PydanticDecoder:
    return _PydanticDecoder(tp, tp.__name__)


def _nested_model(tp: Any, value: Any) -> Any:
    """Decode a file or a pydantic model inside a Struct (msgspec calls this for types that it doesn't know)."""
    if tp is UploadedFile:
        return file_from_json(value)
    if not is_class(tp, BaseModel):
        raise NotImplementedError(f"{tp!r} can't be made from JSON")
    try:
        return _nested_decoder(tp).nested(value)
    except RequestValidationError as error:
        first = error.errors[0]
    raise ValueError(f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")
