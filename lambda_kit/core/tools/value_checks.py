"""What is looked for in the values of a request beside their types: infinities, and integers that share one hash."""

import cmath
import dataclasses
import math
import string
import threading
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec
from pydantic_core import PydanticCustomError, PydanticKnownError

__all__ = ["NotFiniteError", "TooManyError", "check_finite", "check_keys", "counter", "finite", "may_be_infinite"]

_COLLIDING_KEYS = 1000
"""How many different keys with one hash are accepted: more would take a time that grows with their square."""

_UNKNOWN_MEMBERS = 100
"""How many members that no model knows are told of."""

_MODULUS = 2**61 - 1  # of Python's hash of numbers: integers below it all have different hashes
_DIGITS_AS_ZERO = bytes.maketrans(
    string.ascii_uppercase.encode() + b"123456789", string.ascii_lowercase.encode() + b"0" * 9
)
_MANY_DIGITS = b"0" * 209
_LONGEST_NUMBER = 4300  # Python converts no longer text to an integer
_KEY_MEMBERS = 16
_DIGITS = 12  # a text with fewer can't be made to collide with many others


class NotFiniteError(ValueError):
    """A number is infinite, or not a number."""

    def __init__(self) -> None:
        super().__init__("Input should be a finite number")


class TooManyError(Exception):
    """A body has too much of something. No `ValueError`, so that validation ends at once."""


class BodyCounter:
    """Counts, while one body is decoded, what a body may not have without bound. Each thread counts for itself."""

    def __init__(self) -> None:
        self._local = threading.local()

    def start(self) -> None:
        """A new body."""
        self._local.counts = {}
        self._local.distinct = {}
        self._local.unknown = 0

    def key(self, key: Any) -> Any:
        """Count a key of a dict, or a member of a set, by its hash, and return it.

        CPython's hash of numbers is not keyed: who sends multiples of 2**61-1 makes a set or a dict of n keys take a
        time that grows with n squared.

        Raises:
            TooManyError: More than `_COLLIDING_KEYS` different ones have this hash.
        """
        if type(key) is int and -_MODULUS < key < _MODULUS:  # at most three of these have the same hash
            return key
        counts = self._local.counts
        code = hash(key)
        count = counts[code] = counts.get(code, 0) + 1
        if count > _COLLIDING_KEYS:
            # by their texts: the hash of a text is keyed
            distinct = self._local.distinct.setdefault(code, set())
            distinct.add(repr(key))
            if len(distinct) > _COLLIDING_KEYS:
                raise TooManyError(f"More than {_COLLIDING_KEYS} keys or members of a set have the same hash")
        return key

    def unknown(self, _: Any) -> Any:
        """Refuse a member that a model does not know.

        Raises:
            PydanticCustomError: always.
            TooManyError: instead of it, if there were `_UNKNOWN_MEMBERS` of them.
        """
        self._local.unknown += 1
        if self._local.unknown > _UNKNOWN_MEMBERS:
            raise TooManyError(f"More than {_UNKNOWN_MEMBERS} members are not known")
        raise PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")


counter = BodyCounter()


def check_keys(body: bytes) -> None:
    """Count all numbers in a JSON text that can share their hash with others, and the texts that can stand for such.

    Raises:
        TooManyError: as `BodyCounter.key`.
        msgspec.DecodeError: It is no JSON.
    """
    counter.start()
    for value in _leaves(msgspec.json.decode(body)):
        if isinstance(value, int):
            if not -_MODULUS < value < _MODULUS:
                counter.key(value)
        elif isinstance(value, tuple):
            counter.key(value)
        elif isinstance(value, str) and _DIGITS <= len(value) <= _LONGEST_NUMBER:
            for number in _numbers_of(value):
                counter.key(number)


def _numbers_of(text: str) -> Iterator[Any]:
    for make in (Decimal, UUID):
        try:
            number = make(text)
            hash(number)
        except (ValueError, InvalidOperation, TypeError):  # no such number, or a signalling NaN
            continue
        yield number


def _leaves(value: Any) -> Iterator[Any]:
    """All texts, numbers and keys in plain data, and as tuples those lists that can be keys."""
    seen = [value]
    for item in seen:  # which grows meanwhile
        if isinstance(item, dict):
            yield from item
            seen.extend(item.values())
        elif isinstance(item, list):
            seen.extend(item)
            if len(item) <= _KEY_MEMBERS and not any(isinstance(member, (list, dict)) for member in item):
                yield tuple(item)
        else:
            yield item


def may_be_infinite(body: bytes) -> bool:
    """Whether a JSON text has anything that could be read as an infinite number: a quick look, often wrong.

    Numbers beyond a double have an exponent of three digits, or 210 digits. A text can be written in escapes.
    """
    text = body.translate(_DIGITS_AS_ZERO)
    return (
        b"nan" in text
        or b"inf" in text
        or b"e000" in text
        or b"e+000" in text
        or b"\\u00" in text
        or _MANY_DIGITS in text
    )


def finite(value: Any) -> Any:
    """A validator for pydantic: plain data without infinities.

    Raises:
        PydanticKnownError: It is or contains a number that is infinite or not a number.
    """
    seen = [value]
    for item in seen:  # which grows meanwhile
        kind = type(item)
        if kind is list:
            seen.extend(item)
        elif kind is dict:
            seen.extend(item.values())
        elif (kind is float and not math.isfinite(item)) or (kind is complex and not cmath.isfinite(item)):
            raise PydanticKnownError("finite_number")
    return value


def check_finite(value: Any) -> None:
    """Look through what msgspec has decoded for numbers that JSON does not have.

    Raises:
        NotFiniteError: if there is one.
    """
    seen = [value]
    for item in seen:  # which grows meanwhile
        if isinstance(item, float):
            if not math.isfinite(item):
                raise NotFiniteError
        elif isinstance(item, Decimal):
            if not item.is_finite():
                raise NotFiniteError
        elif not isinstance(item, (str, int)):
            seen.extend(_members(item))


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    if isinstance(value, (list, tuple, AbstractSet)):
        return value
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return ()
