"""Refuses a service that is started by the import of its file in a worker process."""

import sys
from typing import Any

from lambda_kit.core.errors import ConfigurationError

__all__ = ["refuse_unguarded_main"]


def refuse_unguarded_main() -> None:
    """Refuse to go on while a new worker process imports the file that the server was started from.

    A worker imports that file to find the tools in it. Without a guard it would start the service once more.

    Raises:
        ConfigurationError: says what to change in the file.
    """
    processes: Any = sys.modules.get("multiprocessing.process")
    # set by multiprocessing while a child makes itself ready, which is when it imports the main module
    if processes is not None and getattr(processes.current_process(), "_inheriting", False):
        raise ConfigurationError(
            "a worker process imports this file to find its tools, and that starts the service again: start it under "
            "'if __name__ == \"__main__\":'"
        )
