"""The name of a file that a client sends, as a tool may see it (docs/wire.md, Uploads)."""

import re

__all__ = ["MAX_NAME_CHARACTERS", "clean_filename", "file_suffix"]

MAX_NAME_CHARACTERS = 255
"""What file systems take. Longer names are cut in the middle, so that the suffix stays."""

_KEPT_SUFFIX_CHARACTERS = 20
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
# control characters, line and paragraph separators, marks that turn the direction of text, and lone surrogates
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def file_suffix(name: str | None) -> str:
    """How the name of a copy of the file is to end, so that libraries know what it is; empty if it says nothing."""
    suffix = _SUFFIX.search(name or "")
    return suffix[0] if suffix else ""


def clean_filename(name: str | None) -> str | None:
    """The last component of a path of any system, without control characters; None where nothing is left of it."""
    if name is None:
        return None
    last = _UNSEEN.sub("", name).replace("\\", "/").rpartition("/")[2].strip()
    if last in ("", ".", ".."):
        return None
    if len(last) <= MAX_NAME_CHARACTERS:
        return last
    stem, dot, suffix = last.rpartition(".")
    end = dot + suffix if stem and len(suffix) < _KEPT_SUFFIX_CHARACTERS else ""
    return last[: MAX_NAME_CHARACTERS - len(end)] + end
