"""Who offers the tools: the service's name, version, contact and licence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ivcap_service
from pydantic import Field, ValidationError

from lambda_kit.core.errors import ConfigurationError

__all__ = ["Service"]

_FORM = "Service(name='...', contact={'name': '...', 'email': '...'})"


class Service(ivcap_service.Service):
    """What a server tells about itself: `ivcap_service.Service` plus a description, and instructions for agents.

    Without a `version` the service shows ``$VERSION``, else the version of the distribution that its file belongs to.

    Raises:
        ConfigurationError: if a member is missing, unknown, or of the wrong type.
    """

    description: str | None = Field(default=None, description="what the service is for, in a sentence or two")
    instructions: str | None = Field(default=None, description="what an agent should know to use the tools together")

    if TYPE_CHECKING:
        # Pydantic makes contact and license from mappings, which type checkers don't see by themselves.
        def __init__(
            self,
            *,
            name: str,
            contact: ivcap_service.ServiceContact | Mapping[str, Any],
            version: str | None = ...,
            license: ivcap_service.ServiceLicense | Mapping[str, Any] | None = ...,  # noqa: A002
            description: str | None = ...,
            instructions: str | None = ...,
        ) -> None: ...

    else:

        def __init__(self, *args: Any, **members: Any) -> None:
            if args:
                raise ConfigurationError(f"Service(...) takes its members by name: {_FORM}")
            unknown = next((name for name in members if name not in type(self).model_fields), None)
            if unknown is not None:
                known = ", ".join(type(self).model_fields)
                raise ConfigurationError(f"Service({unknown}=...): there is no such member; there are {known}")
            try:
                super().__init__(**members)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, first["loc"]))
                text = f"Service({where}=...): {first['msg']}: write {_FORM}"
            else:
                return
            raise ConfigurationError(text)
