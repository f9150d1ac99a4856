"""The page on MCP: its server has ten lines, and its configurations can be read."""

import json
import re

from tests.support.service_command import ROOT

PAGE = (ROOT / "docs" / "mcp.md").read_text("utf-8")


def test_the_server_has_ten_lines_besides_its_imports() -> None:
    lines = [line for line in (ROOT / "docs_src" / "words.py").read_text("utf-8").splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith("from ")]) == 10


def test_the_configurations_of_clients_are_json_and_name_the_server() -> None:
    blocks = [json.loads(block) for block in re.findall(r"^```json.*?\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
    assert len(blocks) == 4
    for block in blocks:
        (servers,) = block.values()
        for server in servers.values():
            assert server.get("url") == "http://localhost:8090/mcp" or server["args"][-1] == "--with-mcp-stdio"
