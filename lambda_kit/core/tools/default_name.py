"""The id and the path that a tool has by the name of its class."""

import re

__all__ = ["default_name"]

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[0-9]+")


def default_name(class_name: str, separator: str) -> str:
    """The words of a class's name in lower case: ``FitLine`` is ``fit_line`` or ``fit-line``.

    A name with letters that are not ASCII is kept as it is, to be refused when the tool is bound: part of it would
    mislead.
    """
    words = _WORDS.findall(class_name) if class_name.isascii() else []
    return separator.join(words or [class_name]).lower()
