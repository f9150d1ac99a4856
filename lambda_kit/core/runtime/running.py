"""In which job the calling code runs, as a context variable."""

import contextvars
from collections.abc import Callable
from typing import Any

__all__ = ["running_job"]

running_job: contextvars.ContextVar[Callable[[], Any] | None] = contextvars.ContextVar(
    "lambda_kit_running_job", default=None
)
"""While a tool runs: makes its `JobContext`. None outside of a job."""
