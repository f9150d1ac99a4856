"""Who offers the tools: the service's name, version, contact and licence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ivcap_service
from pydantic import Field

__all__ = ["Service"]


class Service(ivcap_service.Service):
    """What a server tells about itself: `ivcap_service.Service` plus a description.

    Without a `version` the service shows ``$VERSION``, else the version of the distribution that its file belongs to.

    Raises:
        pydantic.ValidationError: A member is missing or of the wrong type.
    """

    description: str | None = Field(default=None, description="what the service is for, in a sentence or two")

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
        ) -> None: ...
