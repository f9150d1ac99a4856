"""How long the texts may be that tools make and jobs keep (docs/wire.md, Answers: messages are bounded)."""

import json
from typing import Any

__all__ = ["MAX_MESSAGE_BYTES", "MAX_NAME_BYTES", "bounded_json", "bounded_text"]

MAX_MESSAGE_BYTES = 64 * 1024
"""Of a failure's message and traceback, a line of progress, and an event as JSON; in UTF-8."""

MAX_NAME_BYTES = 256
"""Of what is a word, such as the type of a failure."""

_STEPS = ((16_384, 1000), (2048, 100), (256, 10))
"""How long texts, and how many members of lists and objects, are left in an event that is too long; in turn."""


def bounded_text(text: str, limit: int = MAX_MESSAGE_BYTES) -> str:
    """A text as it is, or, if it is longer than `limit` bytes in UTF-8, its beginning and its end."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode(errors="backslashreplace")
    if len(raw) <= limit:
        return text
    note = f" … [{len(raw)} bytes, cut to {limit}] … "
    room = limit - len(note.encode())
    tail = room // 4
    return raw[: room - tail].decode(errors="ignore") + note + raw[len(raw) - tail :].decode(errors="ignore")


def bounded_json(body: bytes) -> bytes:
    """A JSON object as it is, or, if it is longer than 64 KiB, with its long texts and lists cut."""
    if len(body) <= MAX_MESSAGE_BYTES:
        return body
    value: dict[str, Any] = json.loads(body)
    schema = {"$schema": value["$schema"]} if "$schema" in value else {}
    for text_bytes, members in _STEPS:
        shorter = json.dumps(_cut(value, text_bytes, members) | schema, ensure_ascii=False).encode()
        if len(shorter) <= MAX_MESSAGE_BYTES:
            return shorter
    words = [(name, bounded_text(text, 1024)) for name, text in value.items() if isinstance(text, str)]
    return json.dumps(dict(words[:10]) | schema, ensure_ascii=False).encode()


def _cut(value: Any, text_bytes: int, members: int) -> Any:
    if isinstance(value, str):
        return bounded_text(value, text_bytes)
    if isinstance(value, list):
        kept = [_cut(item, text_bytes, members) for item in value[:members]]
        return kept if len(value) <= members else [*kept, f"… [{len(value)} members, cut to {members}]"]
    if isinstance(value, dict):
        return {
            bounded_text(name, text_bytes): _cut(item, text_bytes, members)
            for name, item in list(value.items())[:members]
        }
    return value
