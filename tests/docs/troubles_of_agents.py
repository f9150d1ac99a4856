"""What docs/troubleshooting.md says of tools that agents' clients would refuse, reproduced."""

# mypy: disable-error-code="empty-body"
# ruff: noqa: PLC2401 - a name that is no ASCII is one of the troubles

from typing import Any

from litestar import Request
from pydantic import BaseModel

from lambda_kit import LambdaTool
from tests.docs.troubles import Warnings, greeter, refused, served, shows


@refused("Greet.name = 'greet.people': clients take only ASCII letters, digits, '_' and '-'")
def a_dot_in_a_name() -> None:
    served(greeter(__doc__="Greet", name="greet.people"), mcp=True)


@refused("agents get a tool of this name by which they ask for their jobs")
def a_name_that_is_taken() -> None:
    served(greeter(__doc__="Greet", name="job_result"), mcp=True)


@refused("its request GreetRequest has 'größe': clients take only names of ASCII letters")
def a_field_that_clients_refuse() -> None:
    class GreetRequest(BaseModel):
        größe: int

    class Greet(LambdaTool):
        """Greet"""

        def run(self, req: GreetRequest) -> str: ...

    served(Greet, mcp=True)


@refused("Greet.run needs the litestar.Request, and a call of an agent has none")
def a_request_of_http() -> None:
    class Named(BaseModel):
        name: str

    class Greet(LambdaTool):
        """Greet"""

        def run(self, req: Named, request: Request[Any, Any, Any]) -> str: ...

    served(Greet, mcp=True)


@shows("Greet has no docstring, by which agents decide whether to use it")
def no_docstring() -> str:
    with Warnings("lambda_kit.mcp", "docstring") as warnings:
        served(greeter(), mcp=True)
    return warnings.message
