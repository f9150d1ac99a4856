"""Follows a page of the documentation as a reader would: saves its files, runs its commands, compares the output."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

__all__ = ["Block", "Call", "FollowedPage", "blocks_of"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r'^```(?P<language>\w+)?(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE
)
_SNIPPET = re.compile(r'^--8<-- "(?P<file>[^":]+)"$', re.MULTILINE)
_SERVER = re.compile(r"(?:python|uvicorn) .*--port 8090")

# What differs from run to run, and is not compared.
_CHANGING = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)", "<time>"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\bin \d+\.\d+s", "in <seconds>"),
]


@dataclass(frozen=True)
class Call:
    """A command, and the output that the page shows below it."""

    command: str
    shown: str


@dataclass(frozen=True)
class Block:
    """A fenced block: a file to save, if it has a title, or commands to run."""

    language: str
    title: str | None
    text: str

    @property
    def calls(self) -> Iterator[Call]:
        """The commands of a ``console`` block: lines after ``$``, with their continuations."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            length = 1
            while lines[length - 1].endswith("\\\n"):
                length += 1
            yield Call("".join(lines[:length]).strip(), "".join(lines[length:]).strip())


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page of `docs/`, in order, with the snippets that they include."""

    def included(match: re.Match[str]) -> str:
        return (ROOT / match["file"]).read_text("utf-8").rstrip("\n")

    text = (ROOT / "docs" / page).read_text("utf-8")
    return [
        Block(match["language"] or "", match["title"], _SNIPPET.sub(included, match["text"]))
        for match in _FENCE.finditer(text)
    ]


def normalised(text: str) -> str:
    """A text without what changes from run to run."""
    for pattern, replacement in _CHANGING:
        text = re.sub(pattern, replacement, text)
    return text.replace("\r", "").strip()


def is_as_shown(output: str, shown: str) -> bool:
    """Whether an output is what a page shows: ``...`` stands for anything, as a line of its own for any lines."""
    lines = re.split(r"^\.\.\.\n", normalised(shown), flags=re.MULTILINE)
    pattern = r"(?:.*\n)?".join(".*".join(map(re.escape, text.split("..."))) for text in lines)
    return re.fullmatch(pattern, normalised(output), re.DOTALL) is not None


@dataclass
class FollowedPage:
    """A page that is followed in a folder.

    A service runs until the next one is started. Its port is another than the page's.

    Args:
        folder: Where to follow it, an empty folder.
        env: The environment of the commands.
        port: What to use instead of port 8090.
        substitutes: Parts of commands, and what to run in their place.
        seconds: Bound of each wait.
    """

    folder: Path
    env: Mapping[str, str]
    port: int
    substitutes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 120.0
    service: subprocess.Popen[str] | None = None

    def follow(self, blocks: list[Block], *, met: Callable[[Call], None] = lambda _: None) -> None:
        """Do what the blocks say, in order.

        Raises:
            AssertionError: if a command fails, or prints something else than is shown.
        """
        try:
            for block in blocks:
                if block.title is not None:
                    (self.folder / block.title).write_text(block.text, "utf-8")
                elif block.language == "console":
                    for call in block.calls:
                        met(call)
                        self._do(call)
        finally:
            self._stop_service()

    def _do(self, call: Call) -> None:
        command = call.command.replace("8090", str(self.port))
        for part, substitute in self.substitutes.items():
            command = command.replace(part, substitute)
        if _SERVER.fullmatch(call.command):
            self._stop_service()
            self._start_service(f"exec {command}")
            return
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self._in_environment(command)],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=self.seconds,
            check=False,
        )
        assert ended.returncode == 0, f"$ {call.command}\n{ended.stdout}{ended.stderr}"
        output = ended.stdout.replace(
            str(self.port), "8090"
        )  # on stderr, curl shows its progress if this is no terminal
        assert not call.shown or is_as_shown(output, call.shown), f"$ {call.command}\n{output}\nis not\n{call.shown}"

    def _start_service(self, command: str) -> None:
        self.service = subprocess.Popen(
            ["bash", "-c", self._in_environment(command)],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(int(self.seconds / 0.1)):
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/_healtz", timeout=self.seconds).status_code == 200:
                    return
            with suppress(subprocess.TimeoutExpired):
                output, _ = self.service.communicate(timeout=0.1)
                raise AssertionError(f"$ {command}\nended:\n{output}")
        raise AssertionError(f"$ {command}\ndid not answer in {self.seconds} s")

    def _stop_service(self) -> None:
        """Ctrl-C. Its jobs may be running: the second one ends it at once."""
        if self.service is None:
            return
        for _ in range(2):
            self.service.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.service.communicate(timeout=10)
                break
        else:
            self.service.kill()
            self.service.communicate()
        self.service = None

    def _in_environment(self, command: str) -> str:
        """A shell of the reader's stays in the environment that was activated."""
        activate = self.folder / ".venv" / "bin" / "activate"
        return f". {activate}; {command}" if activate.exists() else command
