"""The command of a container: the ``ENTRYPOINT`` of its Dockerfile."""

import ast
import json
import re

__all__ = ["entrypoint"]

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)


def entrypoint(dockerfile: str) -> list[str] | None:
    """The command that a Dockerfile says, as Docker reads it: the last ``ENTRYPOINT`` of the last stage.

    Args:
        dockerfile: The text of the file.

    Returns:
        The words of the command. None: it says none.

    Raises:
        ValueError: if it is no list of strings; shows the line. The form without brackets is one: a shell runs the
            service then, and keeps the signals to itself.
    """
    found: str | None = None
    for line in _lines(dockerfile):
        instruction = _INSTRUCTION.match(line)
        if instruction is None:
            continue
        name, rest = instruction[1].upper(), instruction[2].strip()
        if name == "FROM":
            found = None
        elif name == "ENTRYPOINT":
            found = rest
    return None if found is None else _words(found)


def _lines(dockerfile: str) -> list[str]:
    """The lines of the file without comments; one that ends in a backslash goes on in the next."""
    lines: list[str] = []
    is_continued = False
    for line in dockerfile.splitlines():
        if line.lstrip().startswith("#") or (is_continued and not line.strip()):
            continue
        is_open = line.rstrip().endswith("\\")
        text = line.rstrip()[:-1] if is_open else line
        if is_continued:
            lines[-1] += text
        else:
            lines.append(text)
        is_continued = is_open
    return lines


def _words(text: str) -> list[str]:
    words: object = None
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        try:
            words = ast.literal_eval(text)  # in single quotes: no JSON, but what is meant is clear
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            words = None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{text} is not a list of strings")
    return words
