"""The tool description, for agents, and the service definition, for the platform (`docs/wire.md`)."""

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ivcap_service
from ivcap_service.service_definition import BATCH_CONTROLLER_SCHEMA, COMMAND_PLACEHOLDER, DEF_POLICY
from ivcap_service.tool_definition import SERVICE_ID_PLACEHOLDER, TOOL_SCHEMA
from ivcap_service.utils import clean_description
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.tools.decoding import is_class
from lambda_kit.core.tools.dockerfile import entrypoint
from lambda_kit.core.tools.schema import is_request_model, json_schema, request_schema
from lambda_kit.core.tools.signature_text import signature_text

__all__ = [
    "REST_CONTROLLER_SCHEMA",
    "TOOL_ID_PREFIX",
    "dump_description",
    "service_definition",
    "tool_description",
]

TOOL_ID_PREFIX = "urn:sd-core:ai-tool"
"""A tool description's `id` is this, a dot, and the tool's name."""

REST_CONTROLLER_SCHEMA = "urn:ivcap:schema.service.rest.1"
"""The platform's schema of a controller that runs a service over HTTP."""

_COMMAND: TypeAdapter[list[str]] = TypeAdapter(list[str])


def tool_description(
    name: str, doc: str | None, request_type: Any, result_type: Any, service_id: str | None = None
) -> dict[str, Any]:
    """Describe a tool as `ivcap_service.create_tool_definition` does, keys in the order of `docs/wire.md`.

    Args:
        name: The tool's name. `$IVCAP_SERVICE_NAME` wins over it, as in ivcap-service.
        doc: The tool's docstring, cleaned here alike on every Python.
        request_type: What the tool takes; only its fields are described, nothing that the framework injects.
        result_type: The annotated result.
        service_id: An absolute id or URL. None, or a path, which means nothing without the server's public
            URL, gives way to `$IVCAP_SERVICE_ID`, or to `#SERVICE_ID#`.
    """
    name = os.environ.get("IVCAP_SERVICE_NAME", name).replace(" ", "_").replace("-", "_").lower()
    text = signature_text(name, request_type, result_type)
    description = f"{_cleaned(doc)}\n\nArguments:\n{text.arguments}\nReturns: {text.returns}"
    return {
        "$schema": TOOL_SCHEMA,
        "id": f"{TOOL_ID_PREFIX}.{name}",
        "name": name,
        "service-id": _printed_service_id(service_id),
        "description": clean_description(description.strip()),
        "fn_signature": text.signature,
        "fn_schema": request_schema(request_type),
    }


def service_definition(
    service: ivcap_service.Service,
    *,
    name: str,
    doc: str | None,
    path: str,
    request_type: Any,
    result_type: Any,
    service_id: str | None = None,
    service_name: str | None = None,
    batch_flags: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Define a tool as a service of the platform, as `ivcap-lambda --print-service-description` does.

    Of a batch service it is what `ivcap_service.start_batch_service` prints.

    Reads, as the original does, `$IVCAP_SERVICE_NAME`, `$IVCAP_SERVICE_ID`, `$IVCAP_POLICY_URN`,
    `$DOCKER_IMG`, `$ENTRYPOINT`, and the files `$DOCKERFILE` (`Dockerfile`) and `$IVCAP_RESOURCES_FILE`
    (`resources.json`).
    A missing Dockerfile or default resources file is warned of on stderr, and placeholders are used.

    Args:
        service: Who offers the tool.
        name: The tool's name.
        doc: The tool's docstring; without one the service's description is used.
        path: Where the tool is served.
        request_type: What the tool takes.
        result_type: The annotated result. Its schema is given if it is a model.
        service_id: As for `tool_description`.
        service_name: The service's name, in place of the two names joined by a hyphen. `$IVCAP_SERVICE_NAME`
            wins over it.
        batch_flags: For a service in batch mode the flags, each with its value, that its command needs, beside those
            that it has. None: it is served over HTTP.

    Raises:
        ConfigurationError: The Dockerfile's ENTRYPOINT or the resources file can't be read or understood.
    """
    named = service_name or f"{service.name}-{name.replace('_', '-')}"
    fallback: str | None = getattr(service, "description", None)
    description = _cleaned(doc) or fallback or "no description available"
    schema = REST_CONTROLLER_SCHEMA if batch_flags is None else BATCH_CONTROLLER_SCHEMA
    controller = {
        "$schema": schema,
        **({"path": path} if batch_flags is None else {}),
        "image": os.environ.get("DOCKER_IMG", ivcap_service.IMAGE_PLACEHOLDER),
        "command": _with_flags(_command(), batch_flags or ()),
        "resources": _resources().model_dump(exclude_none=True),
    }
    definition = ivcap_service.ServiceDefinition.model_validate(
        {
            "$id": _printed_service_id(service_id),
            "name": os.environ.get("IVCAP_SERVICE_NAME", named),
            "description": clean_description(description),
            "contact": service.contact,
            "license": service.license,
            "policy": os.environ.get("IVCAP_POLICY_URN", DEF_POLICY),
            "controller-schema": schema,
            "controller": controller,
            "request-schema": request_schema(request_type),
            "result-schema": json_schema(result_type, "serialization") if _is_model(result_type) else None,
        }
    )
    return definition.model_dump(mode="json", by_alias=True, exclude_none=True)


def dump_description(description: Mapping[str, Any]) -> str:
    """The printed form of a tool description or a service definition: JSON, indented by two."""
    return to_json(description, indent=2).decode()


def _cleaned(doc: str | None) -> str:
    return inspect.cleandoc(doc) if doc else ""


def _printed_service_id(service_id: str | None) -> str:
    if service_id is None or service_id.startswith("/"):
        return os.environ.get("IVCAP_SERVICE_ID", SERVICE_ID_PLACEHOLDER)
    return service_id


def _is_model(tp: Any) -> bool:
    return is_request_model(tp) or is_class(tp, BaseModel)


def _command() -> list[str]:
    if "ENTRYPOINT" in os.environ:
        return _command_of_environment()
    path = Path(os.environ.get("DOCKERFILE", "Dockerfile"))
    try:
        words = entrypoint(path.read_text("utf-8"))
    except FileNotFoundError:
        return _placeholder(f"Cannot find Dockerfile '{path}'")
    except (OSError, ValueError) as error:
        raise ConfigurationError(_command_fault(f"ENTRYPOINT in '{path}'", error)) from None
    return _placeholder(f"Cannot find 'ENTRYPOINT' in '{path}'") if words is None else words


def _command_of_environment() -> list[str]:
    try:
        return _COMMAND.validate_python(ivcap_service.find_command(), strict=True)
    except ValidationError:
        fault: object = "it is not a list of strings"
    except (TypeError, MemoryError, RecursionError) as error:
        fault = error
    raise ConfigurationError(_command_fault("$ENTRYPOINT", fault))


def _command_fault(source: str, fault: object) -> str:
    return (
        f"Can't read the {source}: {fault}. Write it as a JSON list of strings, for example "
        'ENTRYPOINT ["python", "service.py"].'
    )


def _placeholder(reason: str) -> list[str]:
    print(f"WARNING: {reason} - using command placeholder", file=sys.stderr)  # noqa: T201 - stdout is the description's
    return list(COMMAND_PLACEHOLDER)


def _with_flags(command: list[str], flags: Sequence[Sequence[str]]) -> list[str]:
    """A command with the flags, each with its value, that it does not have yet."""
    return [*command, *(word for flag in flags if flag[0] not in command for word in flag)]


def _resources() -> ivcap_service.Resources:
    named = os.environ.get("IVCAP_RESOURCES_FILE")
    if named is not None and not os.access(named, os.R_OK):
        # ivcap-service would end the process here.
        raise ConfigurationError(
            f"Can't read the resources file {named!r} that $IVCAP_RESOURCES_FILE names. "
            "Correct the path or unset the variable."
        )
    try:
        return ivcap_service.find_resources_file()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)
        )
        raise ConfigurationError(_resources_fault(named, faults)) from error
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(_resources_fault(named, str(error))) from error


def _resources_fault(named: str | None, fault: str) -> str:
    file = Path(named or "resources.json")
    return (
        f"The resources file '{file}' is not usable: {fault}. It holds a JSON object with 'limits' and "
        "'requests', each with 'cpu' and 'memory', for example "
        '{"limits": {"cpu": "1", "memory": "2Gi"}}.'
    )
