"""The name of a file that a client sends, as a tool may see it (docs/wire.md, Uploads)."""

import re

__all__ = ["MAX_NAME_CHARACTERS", "clean_filename"]

MAX_NAME_CHARACTERS = 255
"""What file systems take. Longer names are cut in the middle, so that the suffix stays."""

_KEPT_SUFFIX_CHARACTERS = 20
# control characters, line and paragraph separators, marks that turn the direction of text, and lone surrogates
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
