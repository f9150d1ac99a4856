"""`Content-Disposition` of a form's part (RFC 7578, 4.2, as the WHATWG's form encoding writes it) and of a request."""

import re
from urllib.parse import unquote_to_bytes

from lambda_kit.core.tools.file_names import clean_filename

__all__ = ["body_filename", "form_names"]

# A quoted value ends at the quote behind which the next parameter or nothing follows: browsers write a quote inside as
# %22, and a backslash stands for itself; some clients put a backslash before the quote, others send it as it is. One
# that does not end is taken to the end, so that the time is linear.
_PARAMETER = re.compile(r';\s*+([^\s;="]++)\s*+=\s*+(?:"(.*?)(?:"(?=\s*+(?:;|$))|$)|([^\s;]*+))', re.DOTALL)
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n", "%0d": "\r", "%0a": "\n"}
_ESCAPED = re.compile("|".join(_ESCAPES))
_EXTENDED = re.compile(r"(?i:utf-8)'[^']*'(.*)")
_LONGEST = 16 * 1024


def form_names(value: str) -> tuple[str, str | None] | None:
    """The name of a form's part and of its file; None if it is no part of a form.

    ``filename*`` is ignored (RFC 7578, 4.2). An empty name of a file is kept: it says that none was chosen.

    Args:
        value: The field's value, its bytes decoded as Latin-1; they are taken for UTF-8.
    """
    kind, found = _parameters(value)
    if kind != "form-data" or "name" not in found:
        return None
    filename = found.get("filename")
    return _unescaped(found["name"]), None if filename is None else _unescaped(filename)


def body_filename(value: str) -> str | None:
    """The name of the file that a request's body is, as a tool may see it; None: the field has none.

    ``filename*`` wins (RFC 6266, 4.3), in UTF-8 alone.

    Args:
        value: The field's value, its bytes decoded as Latin-1.
    """
    _, found = _parameters(value)
    extended = _EXTENDED.fullmatch(found.get("filename*", ""))
    if extended:
        return clean_filename(unquote_to_bytes(extended[1].encode()).decode(errors="replace"))
    filename = found.get("filename")
    return None if filename is None else clean_filename(_unescaped(filename))


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    text = value[:_LONGEST].encode("latin-1", "replace").decode(errors="replace")
    kind, semicolon, rest = text.partition(";")
    found: dict[str, str] = {}
    for parameter in _PARAMETER.finditer(semicolon + rest):
        name, quoted, bare = parameter.groups()
        found.setdefault(name.lower(), bare if quoted is None else quoted)
    return kind.strip().lower(), found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda escape: _ESCAPES[escape[0]], text.replace('\\"', '"'))
