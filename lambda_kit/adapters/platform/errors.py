"""Errors of the platform's routes: answered as everywhere, with the members that ivcap-client reads besides."""

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.response import Response

from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.core.errors import LambdaKitError

__all__ = ["ArtifactError", "NotFoundError", "error_handlers"]


class NotFoundError(LambdaKitError):
    """There is no such service, aspect or artifact here."""

    status = 404


class ArtifactError(LambdaKitError):
    """An artifact can't be made, or not be written on, as it was asked for.

    Args:
        status: The HTTP status that says so.
        message: Why.
        fields: Further header fields of the answer.
    """

    def __init__(self, status: int, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields or {}


def error_handlers(host: PlatformHost) -> dict[int | type[Exception], Any]:
    """Litestar's exception handlers for the platform's routes."""

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if isinstance(error, NotFoundError):
            error = HTTPException(status_code=error.status, detail=str(error))
        elif isinstance(error, ArtifactError):
            error = HTTPException(status_code=error.status, detail=str(error), headers=error.fields)
        response = host.on_exception(request, error)
        body: dict[str, Any] = msgspec.json.decode(response.content)
        # ivcap-client takes `id` out of each 404 and `name` out of each 422, and fails where it is not there
        more = {"id": request.path_params.get("id") or request.scope["path"], "name": body.get("type")}
        response.content = msgspec.json.encode(more | body)
        return response

    return {HTTPException: answer, LambdaKitError: answer, Exception: answer}
