"""API keys, and the lines that say what each may do: with a key's hash, never the key (docs/behind-a-login.md, Keys).

    # name   scopes and last day are optional           printf %s "$KEY" | sha256sum
    ann      scopes=greet,admin  expires=2027-01-31     sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15…

A key is ``lk_``, 43 random letters and digits (256 bits), and 6 that are the CRC-32 of what precedes them, so that
scanners for leaked secrets can tell a key from a word that looks like one. The hash of a password must be slow to
compute, since there are so few likely passwords that they can be tried. 256 random bits can't be tried, so one SHA-256
is enough, and costs a request a microsecond.
"""

import hashlib
import math
import re
import secrets
import string
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.principal import Principal, is_scope

__all__ = ["PREFIX", "ApiKey", "has_key", "hash_of", "is_key", "key_line", "new_key", "parse_keys"]

PREFIX = "lk_"
"""How each key begins."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 43, 6  # 62**43 > 2**256, 62**6 > 2**32
_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")
_IN_AUTHORIZATION = re.compile(rf'(?:^|[\s,="]){PREFIX}')  # after any scheme, or none; no JWT has such a place
_NAME = re.compile(r"\w[\w.@+-]{0,127}")
_NAMES = "letters, digits and _ . @ + -, at most 128, the first one a letter, digit or _"
_SCOPES = "words with commas between them, without spaces and quotes"
_HASH = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a line says of a key."""

    principal: Principal
    hash: bytes
    """SHA-256 of the key."""
    ends_at: float
    """When it is no longer valid, in seconds since 1970; infinite where it does not expire."""


def new_key() -> str:
    """Make a key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def has_key(authorization: str) -> bool:
    """Whether an ``Authorization`` has a key, be it a wrong one: it is meant for this service and for no other."""
    return _IN_AUTHORIZATION.search(authorization) is not None


def hash_of(key: str) -> bytes:
    """The hash by which a key is known."""
    return hashlib.sha256(key.encode()).digest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def key_line(key: str, name: str, *, scopes: tuple[str, ...] = (), expires: date | None = None) -> str:
    """The line of a key, without a line feed.

    Raises:
        ConfigurationError: if the name or a scope can't be written there.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"the name of a key must be {_NAMES}")
    if not all(is_scope(scope) and "," not in scope for scope in scopes):
        raise ConfigurationError(f"the scopes of a key must be {_SCOPES}")
    words = [name]
    if scopes:
        words.append(f"scopes={','.join(scopes)}")
    if expires is not None:
        words.append(f"expires={expires.isoformat()}")
    return "  ".join([*words, f"sha256:{hash_of(key).hex()}"])


def parse_keys(text: str, source: str) -> dict[bytes, ApiKey]:
    """Read the lines of keys.

    Args:
        text: Lines of ``name  scopes=a,b  expires=YYYY-MM-DD  sha256:HEX``; ``#`` begins a comment.
        source: Where they are from, to begin the texts of errors with.

    Returns:
        The keys by their hash.

    Raises:
        ConfigurationError: if a line is wrong: names the line, and nothing of what is in it.
    """
    keys: dict[bytes, ApiKey] = {}
    lines: dict[bytes, int] = {}
    for number, words in _lines(text.removeprefix("\ufeff")):
        try:
            key = _parse(words)
            if key.hash in keys:
                raise ValueError(f"it has the same hash as line {lines[key.hash]}")
        except ValueError as error:
            raise ConfigurationError(f"{source}, line {number}: {error}") from None
        keys[key.hash] = key
        lines[key.hash] = number
    return keys


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        end = next((at for at, word in enumerate(words) if word.startswith("#")), len(words))
        if end:
            yield number, words[:end]


def _parse(words: list[str]) -> ApiKey:
    if any(word.removeprefix("sha256:").startswith(PREFIX) and len(word) > len(PREFIX) + _RANDOM for word in words):
        raise ValueError('it has a key, where its hash must be: printf %s "$KEY" | sha256sum. Make a new key')
    name, *rest = words
    if not _NAME.fullmatch(name):
        raise ValueError(f"its first word must be a name: {_NAMES}")
    fields: dict[str, str] = {}
    for word in rest:
        field, separator, value = word.partition(":" if word.startswith("sha256:") else "=")
        if not separator or field not in ("scopes", "expires", "sha256") or field in fields:
            raise ValueError("what follows the name must be scopes=a,b, expires=YYYY-MM-DD and sha256:HEX, each once")
        fields[field] = value
    if not _HASH.fullmatch(fields.get("sha256", "")):
        raise ValueError("it needs sha256: and the 64 hexadecimal digits of the key's SHA-256")
    scopes = fields["scopes"].split(",") if fields.get("scopes") else []
    if not all(map(is_scope, scopes)):
        raise ValueError(f"scopes= must be {_SCOPES}, such as scopes=greet,admin")
    return ApiKey(
        Principal(f"key:{name}", name=name, scopes=frozenset(scopes)),
        bytes.fromhex(fields["sha256"]),
        _end_of(fields["expires"]) if "expires" in fields else math.inf,
    )


def _end_of(day: str) -> float:
    """When a day is over, in UTC."""
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        return (start + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("expires= must be the last day of the key, such as expires=2027-01-31") from None
