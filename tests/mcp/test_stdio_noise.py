"""Nothing but the protocol is on stdout, and nobody but the server reads the client's messages."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.mcp_stdio import LEGACY, MODERN, McpStdio

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

NOISY = Path(__file__).parent / "noisy_service.py"
ALL_PLACES = [
    "the imports",
    "the main program",
    "setup",
    "run",
    "the setup of the worker",
    "the worker",
    "teardown",
    "the exit",
]


@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_what_anybody_prints_is_on_stderr_and_stdin_is_empty_for_all_but_the_server(version: str) -> None:
    with McpStdio(NOISY, version=version, by_new_interpreter=True) as service:
        service.initialize()
        assert service.run("noisy")["structuredContent"] == {"text": "read: ''"}
        assert service.run("far_noise")["structuredContent"] == {"text": "read: ''"}
        assert service.run("fork")["structuredContent"] == {"text": "7"}
        service.close()
        assert service.end() == 0, service.log
        assert all("jsonrpc" in message for message in service.messages)
    for place in ALL_PLACES:
        for way in ("printed", "to the first stdout", "raw", "by C", "by a shell"):
            assert f"{way} in {place}\n" in service.log
    for line in ("LOG logged in run", "a child, raw", "raw in a forked child", "printed before lambda_kit is imported"):
        assert line in service.log


def test_a_child_that_a_tool_leaves_behind_does_not_keep_the_streams_open(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with McpStdio(NOISY, by_new_interpreter=True) as service:
        service.initialize()
        service.run("daemon", {"text": str(pid_file)})
        pid = int(pid_file.read_text())
        try:
            service.close()
            assert service.end(log_ends=False) == 0
            os.kill(pid, 0)  # it has the service's stderr still, but the client sees the end of the answers
        finally:
            os.kill(pid, signal.SIGKILL)
