"""`LambdaTool`: the class that a tool's author subclasses."""

import contextlib
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin

from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.tools.default_name import default_name
from lambda_kit.core.tools.hooks import check_hooks, required_parameters
from lambda_kit.core.tools.options import ToolOptions
from lambda_kit.core.tools.path_title import path_title
from lambda_kit.core.tools.request_reader import RequestReader, json_decoder, json_payload
from lambda_kit.core.tools.result_check import ResultCheck
from lambda_kit.core.tools.signature import RunSignature, UnresolvedAnnotationError, read_signature
from lambda_kit.core.tools.type_names import type_name

__all__ = ["BoundTool", "LambdaTool", "concrete_tools", "tool_instance"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_PATH = re.compile(r"/|(/(?!\.{1,2}(/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")  # no "." or "..": clients resolve them


class _DefaultName:
    """A class attribute that is derived from the name of the class that it is read from."""

    def __init__(self, prefix: str, separator: str) -> None:
        self._prefix = prefix
        self._separator = separator

    def __get__(self, instance: object, owner: type) -> str:
        return self._prefix + default_name(owner.__name__, self._separator)


class LambdaTool:
    """Base of every tool. Subclass it and write one typed `run`.

        class Greet(LambdaTool):
            '''Greet a person

            Agents read this text to decide whether to use the tool.
            '''

            def run(self, req: GreetRequest, ctx: JobContext) -> GreetResult: ...

    `run` may be ``async def``. One of its parameters is the request: a pydantic model, a msgspec Struct or a dataclass,
    a TypedDict, a list or dict, a union of these, or a file (`BinaryRequest`, ``bytes``). The others are supplied by
    their type: `JobContext`, `RequestInfo`, or `litestar.Request` (only where the tool runs in the server's process).
    The return annotation is required.

    A class without `run`, or whose `run` is abstract, is a base for others and is not served.

    Raises:
        ToolDefinitionError: when the class is defined, or at the latest when a server is built with it, if `run` can't
            be served. The text names class, parameter and remedy.
    """

    if TYPE_CHECKING:
        path: str
        """Where the tool is served. Default: ``"/"`` and the class name in kebab-case."""
        name: str
        """The tool's id, unique in a server. Default: the class name in snake_case."""
    else:
        path = _DefaultName("/", "-")
        name = _DefaultName("", "_")

    options: ToolOptions = ToolOptions()
    """What else there is to set. It is inherited like any attribute."""

    _scope: ClassVar[dict[str, Any]] = {}
    _is_refused: ClassVar[bool] = False
    _is_for_one_server: ClassVar[bool] = False
    """Whether it was made for one server, and is nothing that another one should find by itself."""
    _agents_member: ClassVar[str | None] = None
    """A member in which agents may send the request, too: so they did to the library for which the tool was written."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        run = cls.__dict__.get("run")
        if run is None or getattr(run, "__isabstractmethod__", False):
            return
        try:
            cls._read_run(run, sys._getframe(1))
        except ToolDefinitionError:
            cls._is_refused = True  # the traceback keeps the class alive, but nobody wants it served
            raise

    @classmethod
    def _read_run(cls, run: object, frame: FrameType) -> None:
        try:
            _signature_of(cls, run, {})
        except UnresolvedAnnotationError:
            cls._scope = _defining_scope(frame)
            with contextlib.suppress(UnresolvedAnnotationError):  # it may be defined by the time a server is built
                _signature_of(cls, run, cls._scope)

    def setup(self) -> Awaitable[None] | None:
        """Called once per process, before the service is ready: load the model here. May be ``async def``."""

    def teardown(self) -> Awaitable[None] | None:
        """Called once per process, after the last job. May be ``async def``."""

    def is_ready(self) -> bool | Awaitable[bool]:
        """Whether the tool can take jobs now. While it can't, ``/_healtz`` is 503. May be ``async def``."""
        return True


def _defining_scope(frame: FrameType) -> dict[str, Any]:
    """The local names where a class is defined: a function's are out of reach of the annotations' own module."""
    while frame.f_back is not None and frame.f_code.co_name in ("__new__", "__init_subclass__"):
        frame = frame.f_back  # of a metaclass, or of a base of the user's
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def concrete_tools() -> list[type[LambdaTool]]:
    """Every subclass of `LambdaTool` that can be served, in the order in which they were defined, bases first.

    Of several classes of one module and name, as when the cell of a notebook is run again, the last one.
    """
    seen: dict[tuple[str, str], type[LambdaTool]] = {}

    def visit(cls: type[LambdaTool]) -> Iterator[type[LambdaTool]]:
        for subclass in cls.__subclasses__():
            yield subclass
            yield from visit(subclass)

    for cls in visit(LambdaTool):
        # one with type variables of its own is a base too, until a subclass says what they stand for
        if _is_concrete(cls) and not getattr(cls, "__parameters__", ()) and not cls._is_for_one_server:
            seen[cls.__module__, cls.__qualname__] = cls
    return list(seen.values())


def _is_concrete(cls: type[LambdaTool]) -> bool:
    run = getattr(cls, "run", None)
    if cls.__dict__.get("_is_refused", False):
        return False
    return run is not None and not inspect.isabstract(cls) and not getattr(run, "__isabstractmethod__", False)


def tool_instance(tool: object) -> LambdaTool:
    """The tool itself, or an instance made of the class.

    Raises:
        ToolDefinitionError: if it is no tool, is abstract, or its constructor wants arguments.
    """
    if isinstance(tool, LambdaTool):
        return tool
    if not (isinstance(tool, type) and issubclass(tool, LambdaTool)):
        shown = tool.__name__ if isinstance(tool, type) else repr(tool)
        raise ToolDefinitionError(f"{shown} is no tool: pass a subclass of LambdaTool, or an instance of one")
    if not _is_concrete(tool):
        raise ToolDefinitionError(
            f"{tool.__name__} has no 'run' of its own or inherited, so it is only a base: add "
            "'def run(self, req: YourRequest) -> YourResult'"
        )
    if required := required_parameters(tool):
        raise ToolDefinitionError(
            f"{tool.__name__}() needs {', '.join(required)}: pass an instance, "
            f"tools=[{tool.__name__}({required[0]}=...)]"
        )
    return tool()


def _signature_of(cls: type[LambdaTool], run: object, scope: dict[str, Any]) -> RunSignature:
    return read_signature(cls.__name__, run, scope, _type_arguments(cls))


def _type_arguments(cls: type) -> dict[Any, Any]:
    """What stands for each type variable of the generic bases of a class."""
    arguments: dict[Any, Any] = {}
    for base in reversed(cls.__mro__):
        for alias in getattr(base, "__orig_bases__", ()):
            parameters = getattr(get_origin(alias), "__parameters__", ())
            arguments.update(zip(parameters, get_args(alias), strict=False))
    return {
        variable: arguments.get(argument, argument) if argument in arguments else argument
        for variable, argument in arguments.items()
        if variable is not argument
    }


@dataclass(frozen=True, slots=True, eq=False)
class BoundTool:
    """A tool with all that a server needs to know of it, checked."""

    tool: LambdaTool
    name: str
    path: str
    label: str
    tags: tuple[str, ...]
    doc: str | None
    options: ToolOptions
    signature: RunSignature
    run: Callable[..., Any]
    decode: Callable[[bytes], Any]
    """JSON bytes to the request; raises `RequestValidationError`."""
    read: RequestReader
    """What is kept of a request to the request; raises `RequestValidationError`."""
    result_check: ResultCheck
    executor: str
    agents_member: str | None = None
    """A member of what agents send that may be the request, where it is the only one. None: it never is."""

    @classmethod
    def bind(cls, tool: LambdaTool) -> "BoundTool":
        """Check a tool and collect what is to be known of it.

        Raises:
            ToolDefinitionError: names class, attribute and remedy.
        """
        owner = type(tool)
        options = tool.options
        if not isinstance(options, ToolOptions):
            raise ToolDefinitionError(
                f"{owner.__name__}.options must be a ToolOptions, not {options!r}: write options = ToolOptions(...)"
            )
        run = getattr(tool, "run", None)
        if run is None:
            raise ToolDefinitionError(
                f"{owner.__name__} has no 'run': add 'def run(self, req: YourRequest) -> YourResult'"
            )
        check_hooks(tool)
        signature = _signature_of(owner, getattr(owner, "run", None), owner._scope)
        name = _checked(owner, "name", tool.name, _NAME, "ASCII letters, digits, '_', '-' and '.', not a digit first")
        path = _checked(owner, "path", tool.path, _PATH, "'/', or segments such as '/greet' without a '/' at the end")
        label, tag = path_title(path)
        decode = _decoder(owner, signature)
        return cls(
            tool=tool,
            name=name,
            path=path,
            label=options.name or label,
            tags=tuple(options.tags) if options.tags is not None else (tag,),
            doc=_doc(owner, run),
            options=options,
            signature=signature,
            run=run,
            decode=decode,
            read=RequestReader(signature.request_type, decode),
            result_check=ResultCheck(tool.name, signature.result_type),
            executor=options.executor or ("asyncio" if signature.is_async else "thread"),
            agents_member=owner._agents_member,
        )

    def json_payload(self, body: bytes) -> Payload:
        """What is kept of a request that came as JSON by a door that takes nothing else, such as MCP or batch.

        Raises:
            RequestValidationError: if the request is to be a file, and the body is no object with ``content`` in base64
                and ``content_type``.
        """
        return json_payload(self.signature.request_type, body)


def _decoder(owner: type[LambdaTool], signature: RunSignature) -> Callable[[bytes], Any]:
    try:
        return json_decoder(signature.request_type)
    except Exception as error:
        raise ToolDefinitionError(
            f"{owner.__name__}.run: requests can't be read as {type_name(signature.request_type)}: {error}"
        ) from error


def _doc(owner: type[LambdaTool], run: Callable[..., Any]) -> str | None:
    """The docstring of the class or of the nearest base that has one, else that of `run`, cleaned."""
    bases = [cls for cls in owner.__mro__ if issubclass(cls, LambdaTool) and cls is not LambdaTool]
    doc = next((cls.__doc__ for cls in bases if cls.__doc__), run.__doc__)
    return inspect.cleandoc(doc) if doc else None


def _checked(owner: type, attribute: str, value: object, pattern: re.Pattern[str], allowed: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        is_default = not owner.__name__.isascii() and owner.__name__.lower() in str(value)
        remedy = f"; the class's name is not, so set '{attribute}' in the class" if is_default else ""
        raise ToolDefinitionError(f"{owner.__name__}.{attribute} = {value!r}: must be {allowed}{remedy}")
    return value
