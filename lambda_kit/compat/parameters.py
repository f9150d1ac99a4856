"""What a decorated function takes: its parameters, by their annotations, as ivcap-lambda supplies them."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NewType

import ivcap_service

from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.tools.request_types import bare_annotation, is_request, request_type

__all__ = ["FunctionParameters", "Supplied", "UndefinedNameError", "read_parameters"]

_CONNECTIONS = frozenset({"HTTPConnection", "Request"})
"""Classes of ``starlette.requests``; FastAPI's `Request` is the same."""

unknown = NewType("unknown", object)
"""The result of a function without a return annotation: agents are told ``unknown``, as ivcap-service tells them."""


class Supplied(Enum):
    """What is passed to a parameter of a decorated function."""

    REQUEST_MODEL = "the request"
    JOB_CONTEXT = "the job context"
    EXECUTION_CONTEXT = "the context that was given to the decorator"
    HTTP_REQUEST = "the request of FastAPI or Starlette"


class UndefinedNameError(ToolDefinitionError):
    """An annotation names something that is not defined yet: try again when the server is built."""


@dataclass(frozen=True, slots=True)
class FunctionParameters:
    """What a decorated function takes and returns."""

    request_type: Any
    result_type: Any
    positional: tuple[Supplied, ...]
    """Those that can be passed by their position only."""
    named: Mapping[str, Supplied]
    """The others, in order."""
    connection_class: type[Any] | None
    """The class of the request of FastAPI or Starlette. None: it takes none."""


def read_parameters(function: Callable[..., Any], context: object = None) -> FunctionParameters:
    """Read what a function takes.

    Args:
        function: What was decorated.
        context: What the decorator was given as ``context``.

    Raises:
        UndefinedNameError: if an annotation names something that is not defined.
        ToolDefinitionError: if there is no request, or a parameter that nothing can supply; names function, parameter
            and remedy.
    """
    name = getattr(function, "__name__", repr(function))
    hints = _hints(function, name)
    positional: list[Supplied] = []
    named: dict[str, Supplied] = {}
    request: Any = None
    connection_class: type[Any] | None = None
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name)
        supplied = _supplied(name, parameter, annotation, context, has_request=request is not None)
        if supplied is Supplied.REQUEST_MODEL:
            request = request_type(annotation)
        elif supplied is Supplied.HTTP_REQUEST:
            connection_class = bare_annotation(annotation)
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            positional.append(supplied)
        else:
            named[parameter.name] = supplied
    if request is None:
        raise ToolDefinitionError(
            f"{name} has no request: annotate one of its parameters with a pydantic model, 'def {name}(req: "
            "YourRequest) -> ...'"
        )
    return FunctionParameters(request, hints.get("return", unknown), tuple(positional), named, connection_class)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UndefinedNameError(
            f"{name}: an annotation names {error.name!r}, which is not defined: define or import it at the level of "
            "the module, at run time"
        ) from None
    except (TypeError, AttributeError, SyntaxError) as error:
        raise ToolDefinitionError(f"{name}: an annotation can't be evaluated: {error}") from error


def _supplied(
    name: str, parameter: inspect.Parameter, annotation: Any, context: object, *, has_request: bool
) -> Supplied:
    bare = bare_annotation(annotation)
    if isinstance(bare, type):
        if context is not None and isinstance(context, bare):
            return Supplied.EXECUTION_CONTEXT
        if issubclass(bare, ivcap_service.JobContext):
            return Supplied.JOB_CONTEXT
        if _is_connection(bare):
            return Supplied.HTTP_REQUEST
    if not has_request and annotation is not None and is_request(request_type(annotation)):
        return Supplied.REQUEST_MODEL
    raise ToolDefinitionError(
        f"{name}: unexpected function parameter '{parameter.name}': a tool takes one request, which is a pydantic "
        "model, and may take a JobContext, the fastapi.Request, and the context that its decorator was given"
    )


def _is_connection(cls: type[Any]) -> bool:
    # named, not imported: neither is needed by services that don't take a request
    return any(base.__module__ == "starlette.requests" and base.__qualname__ in _CONNECTIONS for base in cls.__mro__)
