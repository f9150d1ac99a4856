"""What a tool's `run` takes and returns, read from its annotations."""

import inspect
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import ivcap_service

from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.tools.context import JobContext
from lambda_kit.core.tools.request_types import bare_annotation, is_request, request_type
from lambda_kit.core.tools.type_names import type_name

__all__ = ["Injected", "RunSignature", "UnresolvedAnnotationError", "read_signature"]

# Named, not imported: core knows no web framework.
_TRANSPORT_REQUEST = ("litestar.connection.request", "Request")
_FOREIGN_REQUESTS = {"fastapi", "starlette", "flask", "django", "sanic", "aiohttp"}


class Injected(Enum):
    """What the framework passes to a parameter of `run`."""

    REQUEST_MODEL = "the request"
    JOB_CONTEXT = "the job context"
    REQUEST_INFO = "the request info"
    TRANSPORT_REQUEST = "the litestar.Request"
    OPTIONAL_TRANSPORT_REQUEST = "the litestar.Request, or None where the job was not made by HTTP"


_TRANSPORT_KINDS = frozenset({Injected.TRANSPORT_REQUEST, Injected.OPTIONAL_TRANSPORT_REQUEST})


class UnresolvedAnnotationError(ToolDefinitionError):
    """An annotation names something that is not defined (yet): try again when the server is built."""


@dataclass(frozen=True, slots=True)
class RunSignature:
    """What `run` takes, in order, and what it returns."""

    request_type: Any
    """A class, or what `is_request` knows beside classes."""
    result_type: Any
    allows_none: bool
    """Whether the return annotation has room for `None`."""
    positional: tuple[Injected, ...]
    keywords: tuple[tuple[str, Injected], ...]
    is_async: bool
    wants_transport_request: bool
    """Whether `run` takes the `litestar.Request`, and so must run in the server's process."""
    needs_transport_request: bool
    """Whether it can't do without one: it is not annotated as ``litestar.Request | None``."""


def read_signature(
    class_name: str, run: object, local_names: Mapping[str, Any], type_arguments: Mapping[Any, Any]
) -> RunSignature:
    """Read the signature of a tool's `run`.

    Args:
        class_name: The tool's class, for error texts.
        run: The function, as it stands in the class.
        local_names: Names of the scope in which the class was defined, for forward references.
        type_arguments: What the class has put in place of the type variables of generic bases.

    Raises:
        UnresolvedAnnotationError: if an annotation names something that is not defined.
        ToolDefinitionError: if `run` can't be served; names class, parameter and remedy.
    """
    if not inspect.isfunction(run):
        raise ToolDefinitionError(
            f"{class_name}.run must be a plain method, 'def run(self, req: ...) -> ...', not a {type(run).__name__}"
        )
    _refuse_generator(class_name, inspect.unwrap(run))
    hints = _resolve_hints(class_name, run, local_names, type_arguments)
    parameters = list(inspect.signature(run).parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise ToolDefinitionError(f"{class_name}.run has no 'self': write 'def run(self, req: ...) -> ...'")
    if _classified(parameters[0], hints) is not None:  # 'self' is seldom annotated, and never with these
        raise ToolDefinitionError(
            f"{class_name}.run has no 'self': its first parameter is '{parameters[0].name}'; write 'def run(self, "
            f"{parameters[0].name}: ...) -> ...'"
        )
    positional: list[Injected] = []
    keywords: list[tuple[str, Injected]] = []
    request_types: dict[str, Any] = {}
    for parameter in parameters[1:]:
        kind, annotation = _classify(class_name, parameter, hints)
        if kind is Injected.REQUEST_MODEL:
            request_types[parameter.name] = annotation
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            keywords.append((parameter.name, kind))
        else:
            positional.append(kind)
    if "return" not in hints:
        raise ToolDefinitionError(
            f"{class_name}.run has no return annotation: add '-> YourResult', the model (or str, dict, None, ...) "
            "that it returns"
        )
    kinds = {*positional, *(kind for _, kind in keywords)}
    return RunSignature(
        request_type=_only_request(class_name, request_types),
        result_type=hints["return"],
        allows_none=_allows_none(hints["return"]),
        positional=tuple(positional),
        keywords=tuple(keywords),
        # a plain decorator around an 'async def run' (functools.wraps) returns its coroutine
        is_async=inspect.iscoroutinefunction(inspect.unwrap(run)),
        wants_transport_request=not kinds.isdisjoint(_TRANSPORT_KINDS),
        needs_transport_request=Injected.TRANSPORT_REQUEST in kinds,
    )


def _classified(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Injected | None:
    """What would be passed to a parameter. None: nothing can be."""
    try:
        kind, _ = _classify("", parameter, hints)
    except ToolDefinitionError:
        return None
    return kind


def _refuse_generator(class_name: str, run: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
        raise ToolDefinitionError(
            f"{class_name}.run is a generator (it has a 'yield'): return one result, and tell of progress with "
            "'ctx.progress(...)' or 'ctx.report' of a JobContext parameter"
        )


def _resolve_hints(
    class_name: str,
    run: Callable[..., Any],
    local_names: Mapping[str, Any],
    type_arguments: Mapping[Any, Any],
) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(run, localns=dict(local_names), include_extras=True)
    except NameError as error:
        raise UnresolvedAnnotationError(
            f"{class_name}.run: an annotation names {error.name!r}, which is not defined where the class is: "
            f"define or import it at run time (not only under TYPE_CHECKING), at the level of the module"
        ) from None
    except (TypeError, AttributeError, SyntaxError) as error:
        raise ToolDefinitionError(f"{class_name}.run: an annotation can't be evaluated: {error}") from error
    return {
        name: type_arguments.get(hint, hint) if isinstance(hint, Hashable) else hint for name, hint in hints.items()
    }


def _classify(class_name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> tuple[Injected, Any]:
    where = f"{class_name}.run: parameter '{parameter.name}'"
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise ToolDefinitionError(
            f"{where} takes any number of arguments, which nothing can supply: remove it, or make its values fields of "
            "the request model"
        )
    if parameter.name not in hints:
        raise ToolDefinitionError(
            f"{where} has no annotation: annotate it with the request model, JobContext or RequestInfo"
        )
    annotation = _bare(hints[parameter.name])
    request = request_type(hints[parameter.name])
    if isinstance(annotation, TypeVar):
        raise UnresolvedAnnotationError(
            f"{where} is the type variable {annotation}: say in the class what it stands for, as in "
            f"'class {class_name}(Base[YourRequest])'"
        )
    kind = _injected(annotation)
    if kind is Injected.TRANSPORT_REQUEST and _allows_none(hints[parameter.name]):
        kind = Injected.OPTIONAL_TRANSPORT_REQUEST
    if kind is not None:
        return kind, annotation
    if is_request(request):
        return Injected.REQUEST_MODEL, request
    shown = type_name(annotation)
    module = str(getattr(annotation, "__module__", "")).partition(".")[0]
    if module in _FOREIGN_REQUESTS:
        remedy = f"use RequestInfo of lambda_kit (or litestar.Request) instead of {module}'s {shown}"
    else:
        remedy = (
            "make it a field of the request model; what is injected by type is JobContext, RequestInfo and "
            "litestar.Request, and a request is a pydantic model, a msgspec Struct, a dataclass, a TypedDict, a list "
            "or dict, a union of these, or BinaryRequest (or bytes) for a file"
        )
    raise ToolDefinitionError(f"{where} is annotated with {shown}, which nothing can supply: {remedy}")


def _injected(annotation: Any) -> Injected | None:
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, ivcap_service.JobContext):
        # a subclass of ours can't be supplied
        return Injected.JOB_CONTEXT if issubclass(JobContext, annotation) else None
    if annotation is RequestInfo:
        return Injected.REQUEST_INFO
    if any((base.__module__, base.__qualname__) == _TRANSPORT_REQUEST for base in annotation.__mro__):
        return Injected.TRANSPORT_REQUEST
    return None


def _bare(annotation: Any) -> Any:
    """The annotation without `Annotated`, an optional `None`, or the type arguments of a `Request[...]`."""
    bare = bare_annotation(annotation)
    origin = get_origin(bare)
    return origin if isinstance(origin, type) and _injected(origin) is Injected.TRANSPORT_REQUEST else bare


def _only_request(class_name: str, request_types: Mapping[str, Any]) -> Any:
    if not request_types:
        raise ToolDefinitionError(
            f"{class_name}.run has no request parameter: add one that is annotated with a pydantic model, a msgspec "
            "Struct or a dataclass, 'def run(self, req: YourRequest) -> ...'"
        )
    if len(request_types) > 1:
        names = " and ".join(f"'{name}: {type_name(tp)}'" for name, tp in request_types.items())
        raise ToolDefinitionError(
            f"{class_name}.run has {len(request_types)} request parameters, {names}: a tool has one request; put the "
            "fields of the others into it"
        )
    return next(iter(request_types.values()))


def _allows_none(annotation: Any) -> bool:
    if annotation in (None, type(None), Any, object):
        return True
    origin = get_origin(annotation)
    if origin is Annotated:
        return _allows_none(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_allows_none(member) for member in get_args(annotation))
    value = getattr(annotation, "__value__", None)  # a 'type' alias (PEP 695)
    return value is not None and _allows_none(value)
