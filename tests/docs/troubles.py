"""What the reproductions of docs/troubleshooting.md share."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest
from pydantic import BaseModel

from lambda_kit import (
    LambdaTool,
    Service,
    ToolServer,
    with_schema,
)
from lambda_kit.testing import TestClient

__all__ = ["REPRODUCTIONS", "GreetRequest", "Warnings", "answer", "greeter", "refused", "served", "shows"]

SERVICE = Service(name="Test", contact={"name": "Alice", "email": "alice@example.com"})

Reproduce = Callable[[], str]
REPRODUCTIONS: dict[str, Reproduce] = {}


@with_schema("urn:example:schema:greet.request.1")
class GreetRequest(BaseModel):
    name: str


def shows(heading: str) -> Callable[[Reproduce], Reproduce]:
    def keep(reproduce: Reproduce) -> Reproduce:
        REPRODUCTIONS[heading] = reproduce
        return reproduce

    return keep


def refused(heading: str) -> Callable[[Callable[[], None]], None]:
    def keep(make: Callable[[], None]) -> None:
        def reproduce() -> str:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - the text is compared with the page
                make()
            return str(caught.value)

        REPRODUCTIONS[heading] = reproduce

    return keep


def served(*tools: type[LambdaTool] | LambdaTool, **options: Any) -> ToolServer:
    return ToolServer(SERVICE, tools=tools, **options)


def greeter(annotation: Any = str, greeting: Any = "Hello", **members: Any) -> type[LambdaTool]:
    def run(self: LambdaTool, req: GreetRequest) -> Any:
        return greeting

    run.__annotations__["return"] = annotation
    return type("Greet", (LambdaTool,), {"run": run, **members})


def answer(status: int, *tools: type[LambdaTool] | LambdaTool, **request: Any) -> str:
    path, method = request.pop("path", "/greet"), request.pop("method", "POST")
    with TestClient(served(*(tools or (greeter(),)), **request.pop("options", {}))) as client:
        response = client.request(method, path, **request)
    assert response.status_code == status
    return str(response.json()["detail"])


class Warnings(logging.Handler):
    """Waits for a warning that holds a text."""

    def __init__(self, logger: str, text: str) -> None:
        super().__init__(logging.WARNING)
        self.is_there = threading.Event()
        self.message = ""
        self._logger = logging.getLogger(logger)
        self._text = text

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self.message = record.getMessage()
            self.is_there.set()
