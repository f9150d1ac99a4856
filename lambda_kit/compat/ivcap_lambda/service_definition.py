"""The definition of a function as a service of the platform."""

from collections.abc import Callable
from typing import Any

import ivcap_service
from ivcap_service import Resources, ServiceDefinition
from pydantic import BaseModel, Field

from lambda_kit.compat.parameters import read_parameters
from lambda_kit.core.tools import description
from lambda_kit.core.tools.description import dump_description

__all__ = [
    "REST_CONTROLLER_SCHEMA",
    "RestController",
    "create_rest_service_definition",
    "print_rest_service_definition",
]

REST_CONTROLLER_SCHEMA = description.REST_CONTROLLER_SCHEMA


class RestController(BaseModel):
    """How the platform runs a service over HTTP."""

    jschema: str = Field(default=REST_CONTROLLER_SCHEMA, alias="$schema")
    path: str | None = Field(default=None, description="path of the tool")
    image: str
    command: list[str] | str
    resources: Resources = Field(default_factory=Resources)


def print_rest_service_definition(
    service_description: ivcap_service.Service,
    fn: Callable[..., Any],
    service_id: str | None = None,
    name: str | None = None,
    path: str | None = None,
) -> None:
    """Print what `create_rest_service_definition` makes, as JSON."""
    print(dump_description(_definition(service_description, fn, service_id, name, path)))  # noqa: T201


def create_rest_service_definition(
    service_description: ivcap_service.Service,
    fn: Callable[..., Any],
    service_id: str | None = None,
    name: str | None = None,
    path: str | None = None,
) -> ServiceDefinition:
    """Define a function as a service of the platform, as ``--print-service-description`` does.

    Args:
        service_description: Who offers it.
        fn: The function.
        service_id: The id of the service. None: ``$IVCAP_SERVICE_ID``, or a placeholder.
        name: The name of the service. None: that of `service_description`.
        path: Where the function is served. None: it is left out.

    Raises:
        ConfigurationError: if the Dockerfile or the file of resources can't be read.
    """
    return ServiceDefinition.model_validate(_definition(service_description, fn, service_id, name, path))


def _definition(
    service: ivcap_service.Service, fn: Callable[..., Any], service_id: str | None, name: str | None, path: str | None
) -> dict[str, Any]:
    parameters = read_parameters(fn)
    made = description.service_definition(
        service,
        name=fn.__name__,
        doc=fn.__doc__,
        path=path or "/",
        request_type=parameters.request_type,
        result_type=parameters.result_type,
        service_id=service_id,
        service_name=name or service.name,
    )
    if path is None:
        made["controller"].pop("path")
    return made
