"""The tools as services of the platform: which id is whose, and what is said of each."""

import os
import tomllib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ivcap_service

from lambda_kit.adapters.platform.errors import NotFoundError
from lambda_kit.core.tools.description import REST_CONTROLLER_SCHEMA, tool_description
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ACCOUNT", "POLICY", "PlatformServices", "project_service_id"]

ACCOUNT = "urn:ivcap:account:00000000-0000-0000-0000-000000000000"
"""On a laptop everything belongs to one account."""

POLICY = "urn:ivcap:policy:ivcap.base.metadata"

_PREFIX = "urn:ivcap:service:"


class PlatformServices:
    """The services: one for each tool.

    A tool's id is its option `service_id`, where that is absolute. The first tool of those without is the one that the
    deployment tools speak of, so it has the id of the project; the others, and it where the project has none, have one
    made of the names of service and tool, which stays the same.

    Args:
        service: Who offers the tools.
        tools: The tools, in order.
        project_id: The id of the project's service. None: it has none.
    """

    def __init__(self, service: ivcap_service.Service, tools: Iterable[BoundTool], project_id: str | None) -> None:
        self._service = service
        self._tools: dict[str, BoundTool] = {}
        for tool in tools:
            own = tool.options.service_id
            if own is None or own.startswith("/"):
                own, project_id = project_id, None
            if own is None or own in self._tools:
                own = _PREFIX + str(uuid.uuid5(uuid.NAMESPACE_URL, f"{service.name}/{tool.name}"))
            self._tools[own] = tool
        self._ids = {tool.name: service_id for service_id, tool in self._tools.items()}

    def __iter__(self) -> Iterator[tuple[str, BoundTool]]:
        """Pairs of id and tool, in order."""
        return iter(self._tools.items())

    def find(self, service_id: str) -> tuple[str, BoundTool]:
        """The id and the tool of a service, by its id or the tool's name.

        Where there is one tool only, it has every id of a service: that which ``poetry ivcap create-service-id`` makes
        up comes from the project's name and an account, and is not known here.

        Raises:
            NotFoundError: if there is none.
        """
        service_id = self._ids.get(service_id, service_id)
        for own, tool in self._tools.items():
            if self.is_id_of(service_id, own):
                return service_id, tool
        known = ", ".join(f"{own} ({tool.name})" for own, tool in self._tools.items())
        raise NotFoundError(f"there is no service '{service_id[:200]}' here; there are {known}")

    def is_id_of(self, given: str, own: str) -> bool:
        """Whether a given id is that of the service whose own id is `own`, or stands for it as the only one."""
        return given == own or (len(self._tools) == 1 and given.startswith(_PREFIX))

    def name_of(self, tool: BoundTool) -> str:
        """The name of a tool's service."""
        return f"{self._service.name}-{tool.name.replace('_', '-')}" if len(self._tools) > 1 else self._service.name

    def description_of(self, tool: BoundTool) -> str:
        """What a tool's service is for."""
        text: str | None = getattr(self._service, "description", None)
        return tool.doc or text or "no description available"

    def record(self, service_id: str, tool: BoundTool, href: str) -> dict[str, Any]:
        """What is said of one service."""
        return {
            "id": service_id,
            "name": self.name_of(tool),
            "description": self.description_of(tool),
            "status": "active",
            "account": ACCOUNT,
            "policy": POLICY,
            "controller-schema": REST_CONTROLLER_SCHEMA,
            "controller": {"$schema": REST_CONTROLLER_SCHEMA, "path": tool.path},
            "parameters": [],
            "links": [{"rel": "self", "href": href, "type": "application/json"}],
        }

    def list_item(self, service_id: str, tool: BoundTool, href: str) -> dict[str, Any]:
        """What the list of services says of one."""
        return {
            "id": service_id,
            "name": self.name_of(tool),
            "description": self.description_of(tool),
            "controller-schema": REST_CONTROLLER_SCHEMA,
            "href": href,
        }

    def tool_description(self, service_id: str, tool: BoundTool) -> dict[str, Any]:
        """What agents read of a tool."""
        signature = tool.signature
        return tool_description(tool.name, tool.doc, signature.request_type, signature.result_type, service_id)


def project_service_id(service_file: str | None) -> str | None:
    """The service id of the project that a service file belongs to: ``$IVCAP_SERVICE_ID``, or that in pyproject.toml.

    Args:
        service_file: The file. None: it is not known.
    """
    if given := os.environ.get("IVCAP_SERVICE_ID"):
        return given
    if service_file is None:
        return None
    for folder in Path(service_file).resolve().parents:
        file = folder / "pyproject.toml"
        try:
            project = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):  # whoever needs it will say what is wrong with it
            return None
        table = project.get("tool", {}).get("poetry-plugin-ivcap", {})
        service_id = table.get("service-id") if isinstance(table, dict) else None
        return service_id if isinstance(service_id, str) and service_id else None
    return None
