"""A service file of a test's own: one tool, and what the test adds."""

from pathlib import Path

__all__ = ["service_file"]

_TEMPLATE = '''
import argparse, logging, os, sys
from pydantic import BaseModel
from lambda_kit import LambdaTool, Service, ToolServer

class Text(BaseModel):
    text: str = ""

class Shout(LambdaTool):
    """Shout"""

    def run(self, req: Text) -> str:
        return req.text.upper()

{body}

service = Service(name="Shouting", contact={{"name": "A", "email": "a@example.com"}})
server = ToolServer(service, tools=[{tools}]{options})

if __name__ == "__main__":
    {serve}
'''

_SERVE_WITH_BOUNDS = """\
from lambda_kit.cli.service_file import run_service_file
    from lambda_kit.cli.stop_bounds import StopBounds

    run_service_file(server, bounds=StopBounds({bounds}))"""


def service_file(
    folder: Path, *, body: str = "", tools: str = "Shout", options: str = "", arguments: str = "", bounds: str = ""
) -> Path:
    """Write the file.

    Args:
        folder: Where to write it.
        body: More of the module, behind the tool `Shout`.
        tools: The tools that are served, in a list's text.
        options: Further arguments of the server, such as ``debug=True``.
        arguments: What `serve` is given.
        bounds: How long its end may take: the arguments of a `StopBounds`. Then `serve` is given nothing.
    """
    file = folder / "my_service.py"
    options = f", {options}" if options else ""
    serve = f"server.serve({arguments})"
    if bounds:
        serve = _SERVE_WITH_BOUNDS.format(bounds=bounds)
    file.write_text(_TEMPLATE.format(body=body, tools=tools, options=options, serve=serve), "utf-8")
    return file
