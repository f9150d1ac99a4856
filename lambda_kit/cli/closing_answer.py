"""The answer with which a connection ends where no app is asked."""

from collections.abc import Sequence
from http import HTTPStatus

from lambda_kit.adapters.http.answers import VERSION_FIELD
from lambda_kit.adapters.http.finish import NO_STORE, NOSNIFF
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_body, retry_after

__all__ = ["closing_answer"]

_STOPPING_SECONDS = 1.0
"""When a client that gets 503 may try again."""


def closing_answer(problem: Problem, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The bytes of an answer of HTTP/1.1.

    Args:
        problem: What it says.
        fields: The server's own header fields, such as ``date``.
    """
    body = problem_body(problem)
    all_fields = [
        *fields,
        VERSION_FIELD,
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        NOSNIFF,
        NO_STORE,
        (b"connection", b"close"),
    ]
    if problem.status == 503:
        all_fields.append((b"retry-after", retry_after(_STOPPING_SECONDS).encode()))
    lines = [b"%s: %s\r\n" % field for field in all_fields]
    first = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n".encode()
    return b"".join([first, *lines, b"\r\n", body])
