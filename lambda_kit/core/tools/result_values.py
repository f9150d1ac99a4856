"""What is like plain data, as plain data: numbers of NumPy, tables of pandas, pydantic's types, dates, collections.

NumPy, pandas and polars are recognised without importing them.
"""

import datetime as dt
import functools
import inspect
import os
import types
import uuid
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import PydanticSerializationError

from lambda_kit.core.tools.uploaded_file import UploadedFile

__all__ = ["adapter_of", "as_plain", "dump_model", "like_plain"]


_PLAIN = {str, int, bool, float, type(None), list, tuple, dict, set, frozenset}
_KNOWN = {
    *(str, int, bool, float, type(None), bytes, bytearray),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, Decimal),
}


_MAX_ITERATED = 1_000_000
"""Of the values of a generator or another iterator in a result."""


@functools.lru_cache(maxsize=1024)
def adapter_of(tp: type[Any]) -> TypeAdapter[Any] | None:
    """Pydantic's serializer of a class. None: it has none, such as for a class that holds a Struct."""
    try:
        return TypeAdapter(tp)
    except (PydanticUserError, NameError):
        return None


def like_plain(value: Any) -> Any:
    """One step towards plain data, for an encoder that meets a value it does not know. Members can need more steps.

    Raises:
        TypeError: Nothing plain is like it.
    """
    if type(value) in _PLAIN:  # a key: msgspec asks for those that it can't take
        raise TypeError(f"a {type(value).__name__} can't be a key in JSON")
    if isinstance(value, BaseModel):
        return dump_model(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, enc_hook=like_plain)
    if isinstance(value, UploadedFile):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return _from_numpy(value)
    if package in {"pandas", "polars"}:
        return _from_table(value)
    for plain in (str, bool, int, float):  # of a subclass
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        return _from_time(value)
    return _from_collection(value)


def dump_model(model: BaseModel) -> Any:
    """A model as plain data, or nearly so: where it has members that only `like_plain` knows they can be left in it."""
    try:
        return model.model_dump(mode="json", by_alias=True, fallback=like_plain)
    except (PydanticSerializationError, TypeError):  # such as pandas' NaT, which looks like a date to pydantic
        return model.model_dump(by_alias=True)


def as_plain(value: Any) -> Any:
    """The whole of a value as what every encoder knows, with keys as `json` writes them.

    Slower than an encoder that asks `like_plain`. It takes what that can't: keys that are booleans or None, and
    iterators, of which there is only one pass.

    Raises:
        TypeError: It holds something that nothing plain is like.
        RecursionError: It contains itself, or is nested too deeply.
    """
    if type(value) in _KNOWN:
        return value
    if isinstance(value, dict):
        return {_key(key): as_plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [as_plain(member) for member in value]
    if isinstance(value, Iterator):
        return [as_plain(member) for member in _bounded(value)]
    if is_dataclass(value) and not is_pydantic_dataclass(type(value)):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    return as_plain(like_plain(value))


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key.value) if isinstance(key, Enum) else str(key)
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, (int, float)):
        return repr(int(key) if isinstance(key, int) else float(key))
    if isinstance(key, (dt.date, dt.time, dt.timedelta, uuid.UUID, Decimal)):
        return str(msgspec.to_builtins(key, enc_hook=like_plain))
    if isinstance(key, Enum) or type(key).__module__.partition(".")[0] in {"numpy", "pandas"}:
        plain = like_plain(key)
        if not isinstance(plain, (list, dict)):
            return _key(plain)
    raise TypeError(f"a {type(key).__name__} can't be a key in JSON; make a text of it, or a list of pairs of the dict")


def _from_numpy(value: Any) -> Any:
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "tolist"):
        raise _no_json(value)
    if dtype.names:  # of a structured array, or one of its records
        return list(value) if getattr(value, "ndim", 0) else {name: value[name] for name in dtype.names}
    if dtype.kind == "M":
        return _without_nat(value.astype(str).tolist())
    if dtype.kind == "m" and dtype.name not in {"timedelta64[Y]", "timedelta64[M]"}:
        return value.astype("timedelta64[us]").tolist()
    if dtype.kind == "f" and dtype.itemsize > 8:
        return value.astype("float64").tolist()
    return value.tolist()


def _without_nat(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nat(member) for member in value]
    return None if value == "NaT" else value


def _from_table(value: Any) -> Any:
    name = type(value).__name__
    if name in {"NAType", "NaTType"}:
        return None
    if hasattr(value, "to_dicts"):  # a polars.DataFrame
        return value.to_dicts()
    if hasattr(value, "iterrows"):  # a pandas.DataFrame
        return value.to_dict(orient="records")
    if hasattr(value, "to_dict") and hasattr(value, "items"):  # a pandas.Series
        return value.to_dict()
    for method in ("tolist", "to_list"):  # an Index, a Categorical, a polars.Series
        if hasattr(value, method):
            return getattr(value, method)()
    if isinstance(value, (dt.date, dt.timedelta)):
        return _from_time(value)
    if name in {"Period", "Interval"}:
        return str(value)
    raise _no_json(value)


def _from_time(value: dt.date | dt.time | dt.timedelta) -> Any:
    """The same moment without the subclass: pandas.Timestamp, pendulum.DateTime, freezegun's FakeDatetime."""
    if isinstance(value, dt.datetime):
        return dt.datetime.combine(
            dt.date(value.year, value.month, value.day),
            dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold),
        )
    if isinstance(value, dt.date):
        return dt.date(value.year, value.month, value.day)
    if isinstance(value, dt.time):
        return dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)
    # its own members: in pendulum's subclass they mean something else
    return dt.timedelta(*(getattr(dt.timedelta, name).__get__(value) for name in ("days", "seconds", "microseconds")))


def _from_collection(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # what is like an array
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, AbstractSet)):
        return list(value)
    if isinstance(value, Iterator):
        return list(_bounded(value))
    return _from_pydantic(value)


def _bounded(values: Iterator[Any]) -> Iterator[Any]:
    """The same, with an end: without one it would take all memory, and an async tool's the event loop as well."""
    for count, value in enumerate(values):
        if count >= _MAX_ITERATED:
            raise ValueError(f"an iterator gave more than {_MAX_ITERATED:,} values; return a list if it has an end")
        yield value


def _from_pydantic(value: Any) -> Any:
    tp: Any = type(value)
    adapter = None if isinstance(value, (type, types.FunctionType)) else adapter_of(tp)
    if adapter is None:
        raise _no_json(value)

    def member(other: Any) -> Any:
        if other is value:
            raise _no_json(value)
        return like_plain(other)

    try:
        return adapter.dump_python(value, mode="json", by_alias=True, fallback=member)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from None


def _no_json(value: Any) -> TypeError:
    remedy = ": await it, in an 'async def run'" if inspect.isawaitable(value) else ""
    return TypeError(f"an object of type {type(value).__name__} can't be encoded as JSON{remedy}")
