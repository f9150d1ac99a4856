"""Finds a server in a module, or in a service file that is named by its path, without starting the service."""

import importlib
import importlib.util
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TypeGuard

from lambda_kit.cli.served import Served
from lambda_kit.core.errors import ConfigurationError, LambdaKitError

__all__ = ["refuse_start_by_import", "server_of"]

_SERVER = ("lambda_kit.server", "ToolServer")  # named, not imported: it is above the command line
_NAME_OF_FILE = "__service_file__"


_is_importing = ContextVar("lambda_kit_is_importing", default=False)


class _NotFoundError(LambdaKitError):
    pass


def refuse_start_by_import() -> None:
    """Refuse to start a service whose file is only imported here, to find the server in it.

    Raises:
        ConfigurationError: says what to change in the file.
    """
    if _is_importing.get():
        raise ConfigurationError("it starts the service: start it under 'if __name__ == \"__main__\":'")


def server_of(target: str) -> Served:
    """The server that a text such as ``my_service:server`` or ``my_service.py:server`` names.

    Without ``:server`` it is the only one in the module.

    Raises:
        LambdaKitError: if there is no such module, it can't be imported, or it has no such server; says what to do.
    """
    module_name, _, attribute = target.rpartition(":")
    if not module_name or not all(part.isidentifier() for part in attribute.split(".")):
        module_name, attribute = target, ""
    module = _imported(module_name)
    if not attribute:
        return _only_server(module, module_name)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not _is_server(found):
        what = "nothing of that name" if found is None else f"a {type(found).__name__}, not a ToolServer"
        raise LambdaKitError(f"{attribute} of {module_name} is {what}; {_known(module, module_name)}")
    return found


def _only_server(module: ModuleType, name: str) -> Served:
    servers = {id(value): value for value in vars(module).values() if _is_server(value)}
    if len(servers) != 1:
        raise LambdaKitError(f"{name}: which server is meant? {_known(module, name)}")
    (server,) = servers.values()
    return server


def _known(module: ModuleType, name: str) -> str:
    known = [attribute for attribute, value in vars(module).items() if _is_server(value)]
    if not known:
        return f"{name} has no ToolServer at the level of the module: write server = ToolServer(...) there"
    return f"write {' or '.join(f'{name}:{attribute}' for attribute in known)}"


def _is_server(value: object) -> TypeGuard[Served]:
    return any((base.__module__, base.__qualname__) == _SERVER for base in type(value).__mro__)


def _imported(name: str) -> ModuleType:
    token = _is_importing.set(True)
    try:
        return _file(Path(name)) if name.endswith(".py") or Path(name).parent.name else _module(name)
    except _NotFoundError:
        raise
    except LambdaKitError as error:
        raise LambdaKitError(f"{name} can't be imported: {type(error).__name__}: {error}") from error
    except SystemExit as error:
        raise LambdaKitError(
            f"{name} ends the process when it is imported: do what does under 'if __name__ == \"__main__\":'"
        ) from error
    except Exception as error:
        trace = "".join(traceback.format_exception(type(error), error, _of_the_user(error.__traceback__)))
        raise LambdaKitError(f"{name} raised an exception when it was imported:\n\n{trace.rstrip()}") from error
    finally:
        _is_importing.reset(token)


def _file(path: Path) -> ModuleType:
    """Import a file as ``python FILE`` does, and one of a package as a part of it."""
    if not path.is_file():
        raise _NotFoundError(f"there is no file {path}")
    path = path.resolve()
    folder, names = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    if len(names) > 1:
        return importlib.import_module(".".join(names))
    spec = importlib.util.spec_from_file_location(_NAME_OF_FILE, path)
    if spec is None or spec.loader is None:
        raise _NotFoundError(f"{path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME_OF_FILE] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    sys.path.insert(0, "")  # the folder that we are in, as with `python -m`
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and imports something that is not
        raise _NotFoundError(
            f"there is no module {name!r}, here or elsewhere on the path of Python: name it as 'import' does, or its "
            f"file, such as {name.replace('.', '/')}.py"
        ) from None


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without what comes before the user's code."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__ or "importlib" in trace.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    return trace
