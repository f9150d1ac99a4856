"""Logging of a service, and the filter that services name in the file of their logging configuration."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ivcap_service import set_service_log_config

import lambda_kit.logs
from lambda_kit.core.runtime.credentials import guard_secrets

__all__ = ["SuppressPathsFilter", "logging_init"]

_OLD_PACKAGES = ("ivcap_lambda.", "ivcap_ai_tool.")
_HERE = "lambda_kit.compat.ivcap_lambda."
_NAMES_A_CLASS = ("()", "class")


class SuppressPathsFilter(lambda_kit.logs.SuppressPathsFilter):
    """Drops uvicorn's access lines of requests for some paths.

    Args:
        targets: The paths. None: none.
    """

    def __init__(self, targets: Iterable[str] | None = None) -> None:
        super().__init__(targets or ())


def logging_init(cfg_path: str | os.PathLike[str] | None = None) -> None:
    """Configure the process's logging. A service need not call it: its log goes to stderr by itself.

    Args:
        cfg_path: A JSON file in the form of `logging.config.dictConfig`. What it names of ``ivcap_lambda`` or
            ``ivcap_ai_tool``, such as ``ivcap_lambda.logger.SuppressPathsFilter``, is found here. None: the
            configuration of lambda_kit.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it is not JSON, or no configuration.
    """
    if cfg_path is None or not os.fspath(cfg_path):
        lambda_kit.logs.logging_init()
    else:
        set_service_log_config(_with_new_names(json.loads(Path(cfg_path).read_text("utf-8"))))
        guard_secrets()


def _with_new_names(config: Any) -> Any:
    """The configuration with the classes named where they are, also where the old packages are not installed."""
    if isinstance(config, list):
        return [_with_new_names(item) for item in config]
    if not isinstance(config, dict):
        return config
    return {
        name: _new_name(value) if name in _NAMES_A_CLASS and isinstance(value, str) else _with_new_names(value)
        for name, value in config.items()
    }


def _new_name(name: str) -> str:
    package = next((old for old in _OLD_PACKAGES if name.startswith(old)), None)
    return name if package is None else _HERE + name.removeprefix(package)
