"""How the OpenAPI document gets our words into it.

Litestar derives it from a handler's signature, but ours take the raw request, so that a body is decoded once. So each
route brings its own words (`operations`), and the schemas are those of the tools' models (`components`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import Operation

__all__ = ["describe_operation"]


def describe_operation(members: Callable[[], Mapping[str, Any]]) -> type[Operation]:
    """An operation class whose document has these members, whatever Litestar found out by itself.

    Args:
        members: Makes them, when the document is asked for.
    """

    @dataclass
    class Described(Operation):
        def to_schema(self) -> dict[str, Any]:
            found, ours = super().to_schema(), dict(members())
            parameters = list(ours.get("parameters", ()))
            names = {(parameter["in"], parameter["name"]) for parameter in parameters}
            # what the user's dependencies ask for
            parameters += [one for one in found.get("parameters", ()) if (one["in"], one["name"]) not in names]
            return found | ours | ({"parameters": parameters} if parameters else {})

    return Described
