"""Refuses tools that can't be run in a worker process."""

import pickle
import sys
from pathlib import Path
from typing import Any

from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.tools.tool import BoundTool, LambdaTool

__all__ = ["check_for_process"]


def check_for_process(tool: BoundTool) -> None:
    """Refuse a tool that can't be sent to another process.

    Raises:
        ToolDefinitionError: says why, and what to do.
    """
    owner = type(tool.tool)
    if tool.signature.wants_transport_request:
        raise ToolDefinitionError(
            f"{owner.__name__}.run takes a litestar.Request, which there is in the server's process only: take a "
            "RequestInfo instead, or another executor"
        )
    if "<locals>" in owner.__qualname__:
        raise ToolDefinitionError(
            f"{owner.__name__} is defined inside a function, where a worker process can't find it: define it at the "
            "top of a module, or use another executor"
        )
    if owner.__module__ == "__main__" and not _main_can_be_imported():
        raise ToolDefinitionError(
            f"{owner.__name__} is defined interactively, where a worker process can't find it: define it in a file, "
            "or use another executor"
        )
    _check_pickling(tool.tool, owner)


def _main_can_be_imported() -> bool:
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None:  # python -m
        return True
    file = getattr(main, "__file__", None)
    return file is not None and Path(file).is_file()  # not "<stdin>"


def _check_pickling(tool: LambdaTool, owner: type[LambdaTool]) -> None:
    try:
        pickle.loads(pickle.dumps(tool))  # noqa: S301 - what was made here, now
    except Exception as error:
        culprit = _culprit(tool)
        what = f"its attribute '{culprit}' is what can't be" if culprit else f"{type(error).__name__}: {error}"
        raise ToolDefinitionError(
            f"{owner.__name__} can't be pickled, and so not be sent to a worker process ({what}): make it in 'setup', "
            "which is called in each worker, or use another executor"
        ) from error


def _culprit(tool: LambdaTool) -> str | None:
    """The attribute because of which a tool can't be pickled, if it is one."""
    attributes: dict[str, Any] = getattr(tool, "__dict__", {})
    for name, value in attributes.items():
        try:
            pickle.loads(pickle.dumps(value))  # noqa: S301 - as above
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return name
    return None
