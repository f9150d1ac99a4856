"""`with_schema`: give a request or result class the `$schema` member that names its JSON schema."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

import ivcap_service
import msgspec
from pydantic import AfterValidator, BaseModel, Field, GetCoreSchemaHandler
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import core_schema

__all__ = ["SCHEMA_MEMBER", "schema_mismatch", "schema_uri_of", "with_schema"]

SCHEMA_MEMBER = "$schema"
"""The member's name in JSON."""

_ATTRIBUTE = "schema_"
_URI_ATTRIBUTE = "__lambda_kit_schema_uri__"
_SHOWN_CHARACTERS = 200

T = TypeVar("T")


def with_schema(schema_uri: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the class gets a `$schema` member whose only allowed value is `schema_uri`.

    The member has the URI as its default, is part of the class's JSON schema and of every instance's JSON,
    and a request that carries another value is refused with a text naming both. The class's own fields,
    options, `__post_init__` and positional constructor arguments stay as they are.

    Pydantic models get it from `ivcap_service.with_schema`; msgspec Structs and dataclasses, which that
    can't take, get the same here. The member's attribute is `schema_`. A dataclass under
    `with_schema` can't be subclassed; models and Structs can.

    Args:
        schema_uri: The URI or URN of the class's schema, for example `"urn:example:schema:greet.1"`.

    Raises:
        TypeError: The decorated object is none of the three, encodes as an array, or has a field that is in
            the way. `@with_schema` goes above `@dataclass`, so that it sees a finished dataclass.
    """
    if not isinstance(schema_uri, str):
        raise TypeError(
            f"@with_schema needs the URN of the schema, got {schema_uri!r}: write "
            "@with_schema('urn:example:schema:greet.1')"
        )

    def decorate(cls: type[T]) -> type[T]:
        return cast("type[T]", _decorated(cls, schema_uri))

    return decorate


def schema_uri_of(cls: type) -> str | None:
    """The only value that `with_schema` allows in the `$schema` member of a class. None: it was not under it."""
    uri: str | None = getattr(cls, _URI_ATTRIBUTE, None)
    if uri is None and any(base.__name__ == "_SchemaField" for base in cls.__mro__):  # made by ivcap_service
        uri = cast("type[BaseModel]", cls).model_fields[_ATTRIBUTE].default
    return uri


def schema_mismatch(expected: str, given: object) -> str:
    """The text with which another `$schema` is refused; a very long one is shown in part."""
    text = repr(given)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}…"
    return f"{SCHEMA_MEMBER} must be {expected!r}, got {text}"


def _decorated(cls: Any, uri: str) -> Any:
    if not isinstance(cls, type):
        raise TypeError(f"@with_schema({uri!r}) decorates a class, got {cls!r}.")
    return _class_with_schema(cls, uri)


def _class_with_schema(cls: type[Any], uri: str) -> Any:
    if issubclass(cls, BaseModel):
        return ivcap_service.with_schema(uri)(cls)
    if issubclass(cls, msgspec.Struct):
        return _struct_with_schema(cls, uri)
    if is_pydantic_dataclass(cls):
        return _pydantic_dataclass_with_schema(cls, uri)
    if "__dataclass_fields__" in cls.__dict__:
        return _dataclass_with_schema(cls, uri)
    raise TypeError(
        f"@with_schema({uri!r}) can't decorate {cls.__qualname__}: it is not a pydantic model, a msgspec "
        "Struct or a dataclass. If it is to become a dataclass, write @with_schema above @dataclass."
    )


def _namespace(cls: type, uri: str, field_name: str, annotation: Any, default: Any) -> dict[str, Any]:
    """The body of the subclass that takes the place of `cls`: findable by pickle under the same name."""
    return {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__annotations__": {field_name: annotation},
        field_name: default,
        _URI_ATTRIBUTE: uri,
    }


def _refuse_field(cls: type, uri: str, field_name: str) -> TypeError:
    return TypeError(
        f"@with_schema({uri!r}) can't decorate {cls.__qualname__}: its field {field_name!r} takes the place "
        f"of the {SCHEMA_MEMBER!r} member. Rename or remove it."
    )


def _checking_post_init(cls: type, field_name: str) -> Callable[..., None]:
    inherited = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any, *init_variables: Any) -> None:  # noqa: N807
        # The URI is read from the instance's class, so that a subclass may be given one of its own.
        expected, given = getattr(self, _URI_ATTRIBUTE), getattr(self, field_name)
        if given != expected:
            raise ValueError(schema_mismatch(expected, given))
        if field_name == SCHEMA_MEMBER:
            _place(self)
        if inherited is not None:
            inherited(self, *init_variables)

    return __post_init__


def _struct_with_schema(cls: type[msgspec.Struct], uri: str) -> Any:
    if cls.__struct_config__.array_like:
        raise TypeError(
            f"@with_schema({uri!r}) can't decorate {cls.__qualname__}: an array_like Struct has no member "
            f"names in JSON, so it can't have {SCHEMA_MEMBER!r}. Remove array_like."
        )
    redecorated = hasattr(cls, _URI_ATTRIBUTE)
    for name, wire_name in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True):
        if not redecorated and (name == _ATTRIBUTE or wire_name == SCHEMA_MEMBER):
            raise _refuse_field(cls, uri, name)
    if cls.__struct_config__.tag_field == SCHEMA_MEMBER:
        raise _refuse_field(cls, uri, SCHEMA_MEMBER)
    meta = msgspec.Meta(title="$Schema", extra_json_schema={"default": uri})
    if cls.__struct_config__.omit_defaults:
        # A default made by a factory is never left out, and `$schema` must not be.
        member = msgspec.field(name=SCHEMA_MEMBER, default_factory=lambda: uri)
    else:
        member = msgspec.field(name=SCHEMA_MEMBER, default=uri)
    namespace = _namespace(cls, uri, _ATTRIBUTE, Annotated[str, meta], member)
    namespace["__post_init__"] = _checking_post_init(cls, _ATTRIBUTE)
    # Keyword-only, so that the positional arguments of the class's own fields keep their places.
    make = cast("Callable[..., Any]", type(cls))
    return make(cls.__name__, (cls,), namespace, kw_only=True)


def _pydantic_dataclass_with_schema(cls: Any, uri: str) -> Any:
    if not hasattr(cls, _URI_ATTRIBUTE) and _ATTRIBUTE in cls.__dataclass_fields__:
        raise _refuse_field(cls, uri, _ATTRIBUTE)
    annotation = Annotated[str, AfterValidator(_validator(uri)), Field(alias=SCHEMA_MEMBER, title="$Schema")]
    member = dataclasses.field(default=uri, kw_only=True, repr=False)
    namespace = _namespace(cls, uri, _ATTRIBUTE, annotation, member)
    frozen = cls.__dataclass_params__.frozen
    return pydantic_dataclass(config=cls.__pydantic_config__, frozen=frozen, repr=False, eq=False)(
        type(cls)(cls.__name__, (cls,), namespace)
    )


def _dataclass_with_schema(cls: Any, uri: str) -> Any:
    if _ATTRIBUTE in cls.__dataclass_fields__:
        raise _refuse_field(cls, uri, _ATTRIBUTE)
    # The field bears its JSON name, which is no identifier: msgspec knows no aliases in dataclasses. So it
    # must stay out of all code that `dataclass` generates: no constructor argument, no repr, no comparison.
    member = dataclasses.field(default=uri, init=False, repr=False, compare=False)
    namespace = _namespace(cls, uri, SCHEMA_MEMBER, str, member)
    namespace["__new__"] = _placing_new(cls)
    namespace["__post_init__"] = _checking_post_init(cls, SCHEMA_MEMBER)
    namespace["__init_subclass__"] = classmethod(_refuse_subclass)
    namespace["__get_pydantic_core_schema__"] = classmethod(_core_schema_that_checks)
    namespace[_ATTRIBUTE] = property(lambda self: getattr(self, SCHEMA_MEMBER))
    frozen = cls.__dataclass_params__.frozen
    return dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False, frozen=frozen)(
        type(cls)(cls.__name__, (cls,), namespace)
    )


def _refuse_subclass(cls: Any, /, **_: Any) -> None:
    # `@dataclass` would write the member's name into the subclass's constructor: a SyntaxError, no hint why.
    raise TypeError(
        f"{cls.__qualname__} can't be derived from a dataclass that is under @with_schema. Put what the two "
        "share in a dataclass without @with_schema and decorate each class that is derived from it."
    )


def _place(instance: Any) -> None:
    # msgspec encodes what an instance holds itself, and overlooks a default that only its class has.
    object.__setattr__(instance, SCHEMA_MEMBER, getattr(instance, _URI_ATTRIBUTE))


def _placing_new(cls: Any) -> Callable[..., Any]:
    inherited = cls.__new__

    def __new__(new_cls: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        made = inherited(new_cls) if inherited is object.__new__ else inherited(new_cls, *args, **kwargs)
        _place(made)
        return made

    # `inspect.signature` then shows the arguments of the class's own fields.
    __new__.__wrapped__ = cls.__init__  # type: ignore[attr-defined]
    return __new__


def _validator(uri: str) -> Callable[[str], str]:
    def check(given: str) -> str:
        if given != uri:
            raise ValueError(schema_mismatch(uri, given))
        return given

    return check


def _core_schema_that_checks(cls: Any, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    """Let pydantic take `$schema` from the input, which it does not for fields outside the constructor."""
    schema = handler(source)
    node = cast("dict[str, Any]", handler.resolve_ref_schema(schema))
    while node["type"] != "dataclass-args":
        node = node["schema"]
    uri = getattr(cls, _URI_ATTRIBUTE)
    checked = core_schema.no_info_after_validator_function(_validator(uri), core_schema.str_schema())
    defaulted = core_schema.with_default_schema(checked, default=uri)
    for field in node["fields"]:
        if field["name"] == SCHEMA_MEMBER:
            field.update(init=True, kw_only=True, schema=defaulted)
    return schema
