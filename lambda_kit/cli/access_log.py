"""uvicorn's access log, without the credentials that clients put into query strings."""

import contextlib
import logging
from collections.abc import Iterator

from lambda_kit.core.model.request_info import redacted_query

__all__ = ["redacted_access_log"]


@contextlib.contextmanager
def redacted_access_log() -> Iterator[None]:
    """While the block lasts, values of parameters such as ``token`` are ``***``, whatever handlers the log has."""
    log = logging.getLogger("uvicorn.access")
    log.addFilter(_redact)
    try:
        yield
    finally:
        log.removeFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    # uvicorn logs with (client, method, target, http version, status)
    if isinstance(record.args, tuple) and len(record.args) > 2:
        client, method, target, *rest = record.args
        path, mark, query = str(target).partition("?")
        if mark:
            record.args = (client, method, f"{path}?{redacted_query(query)}", *rest)
    return True
