"""How long a client wants to wait, and for what answer: `Prefer` (RFC 7240) and `Timeout` (docs/wire.md).

Ours, since the published parsers either skip what is malformed or also refuse what RFC 7240 asks a server to
accept (repeated preferences, empty list elements, white space around "=").
"""

import re
from typing import NamedTuple

from lambda_kit.adapters.http.headers import MAX_WAIT_SECONDS, HeaderError, RawHeaders, parse_timeout, shown
from lambda_kit.core.model.http_syntax import TOKEN

__all__ = ["NO_PREFERENCE", "WaitPreference", "parse_prefer", "wait_preference"]

_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_WORD = rf"(?:{TOKEN}|{_QUOTED})"
_EQUALS = r"[ \t]*+=[ \t]*+"
_PARAMETER = rf"[ \t]*+{TOKEN}(?:{_EQUALS}{_WORD})?+"
# RFC 7240 section 2; possessive throughout, so that no input makes the matcher go back
_PREFERENCE = re.compile(rf"({TOKEN})(?:{_EQUALS}({_WORD}))?+(?:[ \t]*+;(?:{_PARAMETER})?+)*+[ \t]*+(?:,|\Z)")
_GAP = re.compile(r"[ \t,]*+")
_DIGITS = re.compile(r"[0-9]++")


class WaitPreference(NamedTuple):
    """What a client wants of an answer that may take a while."""

    seconds: float | None = None
    """How long to wait for the result, at least 0. None: it did not say, the tool's default holds."""
    representation: bool = False
    """Whether an answer without the result shall be a 202 with a body, not a 204."""
    applied: str | None = None
    """The value of `Preference-Applied` (RFC 7240 section 3). None: no preference is honoured."""


NO_PREFERENCE = WaitPreference()
"""Of a client that says nothing."""


def parse_prefer(values: list[str]) -> dict[str, str]:
    """The preferences in all `Prefer` headers of a request, by their names in lower case.

    The first of several preferences of one name counts; no value and an empty one are the same (RFC 7240
    section 2). Parameters are checked and dropped: no preference known here has any.

    Raises:
        HeaderError: if a value is malformed.
    """
    preferences: dict[str, str] = {}
    for value in values:
        position = _skip_gap(value, 0)
        while position < len(value):
            match = _PREFERENCE.match(value, position)
            if match is None:
                raise HeaderError(
                    "Prefer",
                    f"{shown(value[position:])} is malformed; allowed: preferences parted by commas, "
                    "like respond-async, wait=10, return=representation (RFC 7240)",
                )
            preferences.setdefault(match[1].lower(), _unquoted(match[2] or ""))
            position = _skip_gap(value, match.end())
    return preferences


def wait_preference(raw: RawHeaders) -> WaitPreference:
    """Read `Prefer` and `Timeout` together, by the rules of docs/wire.md.

    ``respond-async`` alone waits 0 s, whatever `Timeout` says; else `Timeout` counts, else ``wait=N``.
    Preferences that are unknown, or have a value that is, are ignored.

    Args:
        raw: The request's headers.

    Raises:
        HeaderError: if a header, or the value of ``wait``, is malformed.
    """
    prefer: list[str] = []
    timeouts: list[str] = []
    for name, value in raw:
        if name == b"prefer":
            prefer.append(value.decode("latin-1"))
        elif name == b"timeout":
            timeouts.append(value.decode("latin-1"))
    if not prefer and not timeouts:
        return NO_PREFERENCE

    timeout = parse_timeout(", ".join(timeouts)) if timeouts else None
    preferences = parse_prefer(prefer)
    wait = _delta_seconds(preferences["wait"]) if "wait" in preferences else None
    respond_async = preferences.get("respond-async") == ""
    representation = preferences.get("return") == "representation"

    seconds: float | None
    if respond_async and wait is None:
        seconds = 0.0
    elif timeout is not None:
        seconds = timeout
    else:
        seconds = wait

    applied: list[str] = []
    if respond_async:
        applied.append("respond-async")
    if wait is not None and timeout is None:
        applied.append(f"wait={wait:.0f}")
    if representation:
        applied.append("return=representation")
    return WaitPreference(seconds, representation, ", ".join(applied) or None)


def _delta_seconds(value: str) -> float:
    if not _DIGITS.fullmatch(value):
        raise HeaderError(
            "Prefer", f"wait={shown(value)} is not a number of seconds; allowed: digits alone, like wait=10"
        )
    return min(float(value), MAX_WAIT_SECONDS)


def _skip_gap(value: str, position: int) -> int:
    """Where the next list element starts: empty ones are skipped (RFC 9110 section 5.6.1.2)."""
    gap = _GAP.match(value, position)
    return gap.end() if gap else position


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
