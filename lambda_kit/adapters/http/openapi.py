"""How the OpenAPI document gets our words into it.

Litestar derives it from a handler's signature, but ours take the raw request, so that a body is decoded once. So each
route brings its own words (`operations`), and the schemas are those that agents get.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import Operation

__all__ = ["describe_operation"]


def describe_operation(members: Mapping[str, Any]) -> type[Operation]:
    """An operation class whose document has these members, whatever Litestar found out by itself."""

    @dataclass
    class Described(Operation):
        def to_schema(self) -> dict[str, Any]:
            schema = super().to_schema()
            parameters = schema.get("parameters", []) + list(members.get("parameters", []))
            return schema | dict(members) | ({"parameters": parameters} if parameters else {})

    return Described
