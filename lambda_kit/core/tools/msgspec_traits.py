"""What is to be known of a type that msgspec decodes, to choose what is looked for in a body."""

from typing import Any

from msgspec import inspect

__all__ = ["MsgspecTraits"]

# Their hashes are keyed, or there are few of them.
_SAFE_KEYS = (
    *(inspect.StrType, inspect.BytesType, inspect.BoolType, inspect.NoneType, inspect.LiteralType, inspect.EnumType),
    *(inspect.DateType, inspect.DateTimeType, inspect.TimeType),
)
_DICTS = (inspect.DictType, inspect.FrozenDictType)
_SETS = (inspect.SetType, inspect.FrozenSetType)


class MsgspecTraits:
    """What a type has anywhere inside.

    Args:
        tp: Whatever msgspec can decode.
    """

    def __init__(self, tp: Any) -> None:
        self.has_unkeyed_hashes = False
        """Sets or dicts of numbers, or of what has their hash."""
        self.has_infinite = False
        """Numbers that msgspec also takes as a text, where it knows infinities."""
        self._seen: set[int] = set()
        self._look_at(inspect.type_info(tp))

    def _look_at(self, info: Any) -> None:
        if id(info) in self._seen:
            return
        self._seen.add(id(info))
        if isinstance(info, (*_DICTS, *_SETS)):
            key = info.key_type if isinstance(info, _DICTS) else info.item_type
            members = key.types if isinstance(key, inspect.UnionType) else (key,)
            is_any_key = isinstance(info, _DICTS) and isinstance(key, inspect.AnyType)
            self.has_unkeyed_hashes |= not is_any_key and not all(isinstance(member, _SAFE_KEYS) for member in members)
            self.has_infinite |= any(isinstance(member, inspect.FloatType) for member in members)
        self.has_infinite |= isinstance(info, inspect.DecimalType)
        for name in info.__struct_fields__:
            self._look_into(getattr(info, name))

    def _look_into(self, value: Any) -> None:
        if isinstance(value, (inspect.Type, inspect.Field)):
            self._look_at(value)
        elif isinstance(value, tuple):
            for item in value:
                self._look_into(item)
