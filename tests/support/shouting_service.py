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
    server.serve({arguments})
'''


def service_file(folder: Path, *, body: str = "", tools: str = "Shout", options: str = "", arguments: str = "") -> Path:
    """Write the file.

    Args:
        folder: Where to write it.
        body: More of the module, behind the tool `Shout`.
        tools: The tools that are served, in a list's text.
        options: Further arguments of the server, such as ``debug=True``.
        arguments: What `serve` is given.
    """
    file = folder / "my_service.py"
    options = f", {options}" if options else ""
    file.write_text(_TEMPLATE.format(body=body, tools=tools, options=options, arguments=arguments), "utf-8")
    return file
