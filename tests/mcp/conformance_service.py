"""The tools that the official conformance suite of MCP calls by name."""

import asyncio
import base64
import os
import signal
from typing import Any

import mcp_types
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from lambda_kit import BinaryResult, JobContext, LambdaTool, McpOptions, Service, ToolOptions, ToolServer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=")


class Nothing(BaseModel):
    """No arguments."""


class SimpleText(LambdaTool):
    """Answer with a text."""

    name = "test_simple_text"

    def run(self, req: Nothing) -> str:
        return "This is a simple text response for testing."


class ImageContent(LambdaTool):
    """Answer with an image."""

    name = "test_image_content"

    def run(self, req: Nothing) -> BinaryResult:
        return BinaryResult(content=PNG, content_type="image/png")


class AudioContent(LambdaTool):
    """Answer with a sound."""

    name = "test_audio_content"

    def run(self, req: Nothing) -> BinaryResult:
        return BinaryResult(content=WAV, content_type="audio/wav")


class EmbeddedResource(LambdaTool):
    """Answer with a resource."""

    name = "test_embedded_resource"

    def run(self, req: Nothing) -> mcp_types.CallToolResult:
        return mcp_types.CallToolResult(content=[_resource("test://embedded-resource", "text/plain", "A text.")])


class MultipleContentTypes(LambdaTool):
    """Answer with a text, an image and a resource."""

    name = "test_multiple_content_types"

    def run(self, req: Nothing) -> mcp_types.CallToolResult:
        image = mcp_types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
        return mcp_types.CallToolResult(
            content=[
                mcp_types.TextContent(type="text", text="Multiple content types test:"),
                image,
                _resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
            ]
        )


def _resource(uri: str, mime_type: str, text: str) -> mcp_types.EmbeddedResource:
    return mcp_types.EmbeddedResource(
        type="resource", resource=mcp_types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    )


class ErrorHandling(LambdaTool):
    """Fail."""

    name = "test_error_handling"

    def run(self, req: Nothing) -> str:
        raise ValueError("This tool intentionally returns an error for testing")


class WithProgress(LambdaTool):
    """Tell of three steps, and end."""

    name = "test_tool_with_progress"

    async def run(self, req: Nothing, ctx: JobContext) -> str:
        for done in (0, 50, 100):
            ctx.progress(done, 100)
            await asyncio.sleep(0.05)  # as the suite asks for
        return "done"


class Logging(LambdaTool):
    """Answer; no notification of a log entry may come before."""

    name = "test_logging_tool"

    def run(self, req: Nothing) -> str:
        return "done"


class Streaming(LambdaTool):
    """Answer by a stream, where there is room for requests to the client: none may come."""

    name = "test_streaming_elicitation"

    def run(self, req: Nothing) -> str:
        return "done"


class Contact(BaseModel):
    """A request whose schema uses what JSON Schema 2020-12 has, and pydantic does not make."""

    name: str | None = None
    phone: str | None = None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        address = {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", **address}},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": False,
        }


class JsonSchema(LambdaTool):
    """Take a request with a schema of its own."""

    name = "json_schema_2020_12_tool"

    def run(self, req: Contact) -> str:
        return "done"


class Name(BaseModel):
    name: str


class Greet(LambdaTool):
    """Greet somebody."""

    name = "greet"

    def run(self, req: Name) -> str:
        return f"Hello, {req.name}!"


class Work(BaseModel):
    seconds: float
    label: str = ""


class SlowCompute(LambdaTool):
    """Take so many seconds."""

    name = "slow_compute"
    options = ToolOptions(refresh_interval=1)

    async def run(self, req: Work) -> str:
        await asyncio.sleep(req.seconds)
        return f"{req.label}: done"


class FailingJob(LambdaTool):
    """Fail after a while; only for clients with tasks."""

    name = "failing_job"
    options = ToolOptions(mcp="as-task")

    async def run(self, req: Nothing) -> str:
        await asyncio.sleep(1)
        raise ValueError("this job always fails")


class ProtocolErrorJob(LambdaTool):
    """End the process in which it runs."""

    name = "protocol_error_job"
    options = ToolOptions(mcp="as-task", executor="process")

    def run(self, req: Nothing) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"


class WithTask(LambdaTool):
    """Be a task from the beginning."""

    name = "test_tool_with_task"
    options = ToolOptions(mcp="as-task")

    def run(self, req: Nothing) -> str:
        return "done"


class MissingCapability(WithTask):
    """Need a client with tasks. (The suite means one with sampling, which no tool can ask for.)"""

    name = "test_missing_capability"


class Place(BaseModel):
    region: str = Field(json_schema_extra={"x-mcp-header": "Region"})


class HeaderParameter(LambdaTool):
    """Take an argument that clients send in a header field too."""

    name = "test_header_parameter"

    def run(self, req: Place) -> str:
        return req.region


server = ToolServer(
    Service(name="Conformance", contact={"name": "Ann", "email": "ann@example.com"}),
    tools=[
        SimpleText,
        ImageContent,
        AudioContent,
        EmbeddedResource,
        MultipleContentTypes,
        ErrorHandling,
        WithProgress,
        Logging,
        Streaming,
        JsonSchema,
        Greet,
        SlowCompute,
        FailingJob,
        ProtocolErrorJob,
        WithTask,
        MissingCapability,
        HeaderParameter,
    ],
    mcp=McpOptions(wait_seconds=0.8),  # the suite has tasks of a second, and calls of 0.15 s that are none
)

if __name__ == "__main__":
    server.serve()
