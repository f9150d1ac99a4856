"""What the stand-ins for commands share: they write down how they were called, and refuse what they do not know."""

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

__all__ = ["FOLDER", "record", "refuse"]

FOLDER = Path(os.environ["STAND_IN_FOLDER"])
"""Where calls are written down, and what the stand-ins remember."""


def record(command: str, arguments: list[str], **more: str) -> None:
    """Write down one call, as a line of JSON."""
    with (FOLDER / "calls.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"command": [command, *arguments], **more}) + "\n")


def refuse(command: str, arguments: list[str]) -> NoReturn:
    """End as the command does where it is called in a way that it does not know."""
    print(f"{command}: unknown arguments: {' '.join(arguments)}", file=sys.stderr)
    sys.exit(2)
