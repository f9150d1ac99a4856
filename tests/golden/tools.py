# ruff: noqa: E501, UP045
# mypy: disable-error-code="arg-type"
# pyright: reportArgumentType=false
"""The tools that the files beside this one were printed for, as plain functions.

tool-description.NAME.json is `ivcap_service.create_tool_definition(NAME)` of ivcap-service 0.7.2, and
service-description.NAME.json what ivcap-lambda 0.8.5 prints with --print-service-description NAME in an empty folder,
for the service named "My IVCAP Service". Docstrings were cleaned with `inspect.cleandoc` first, as lambda_kit
does on every Python (from 3.13 on, Python does so by itself). As classes: Greet at /greet with
service_id="/greet" (printed, a service_id that is a path gives way to $IVCAP_SERVICE_ID or #SERVICE_ID#), and ListThings
at /many/things, async.
"""

from typing import Optional

from ivcap_service import Service, with_schema
from pydantic import BaseModel, Field

service = Service(
    name="My IVCAP Service",
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
)


@with_schema("urn:example:schema:greet.request.1")
class GreetRequest(BaseModel):
    name: str = Field(..., description="Name to greet.")
    count: int = Field(1, description="Number of times to repeat the greeting.", ge=1)
    mood: Optional[str] = Field(None, description="Optional mood.")
    sleep: float = Field(0, description="Seconds to sleep.")
    fail: Optional[str] = Field(None, description="Kind of failure.")


@with_schema("urn:example:schema:greet.1")
class GreetResult(BaseModel):
    greeting: str = Field(..., description="The generated greeting.")
    mood: Optional[str] = None


def greet(req: GreetRequest) -> GreetResult:
    """Greet a person

    Generates a personalised greeting the requested number of times.
    Describe your tool here.

    Second paragraph.
    """
    return GreetResult(greeting=(f"Hello, {req.name}! " * req.count).strip())


async def list_things(req: GreetRequest) -> GreetResult:
    """One liner"""
    return GreetResult(greeting=req.name)
