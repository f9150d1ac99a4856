"""Keeps the credentials of jobs out of what is kept and shown (docs/wire.md, Authorization)."""

import contextlib
import contextvars
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from lambda_kit.core.runtime.tracebacks import TracebackFormatter

__all__ = [
    "NO_CREDENTIALS",
    "Credentials",
    "are_any_in_use",
    "credentials_in_use",
    "guard_logs",
    "guard_secrets",
    "redacted",
]

_STARS = "***"
_LOOKS_ALIKE = re.compile(r"[A-Za-z0-9._~ -]*")
"""What is the same everywhere, but for the space after the scheme: in a URL what follows that is replaced."""
_LEAST_CHARS = 8
"""What is shorter is no credential, but may be a part of any word."""


class Credentials:
    """Replaces a job's authorization in texts.

    Replaced are the exact value of ``Authorization``, and what follows its scheme where that has 8 characters or more;
    also as they are in a JSON text, in a `repr` and in a URL.

    Args:
        authorization: The value. None: nothing is replaced.
    """

    __slots__ = ("_authorization", "_forms", "_long_forms")

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization
        self._forms: tuple[str, ...] | None = None if authorization else ()
        self._long_forms: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Credentials(***)" if self._authorization else "Credentials(None)"

    def text(self, text: str, *, only_long: bool = False) -> str:
        """A text without them.

        Args:
            text: Any text.
            only_long: Let a value of less than 8 characters be: the text may be of something else.
        """
        if self._forms is None:
            self._forms = _forms_of(self._authorization or "")
            self._long_forms = tuple(form for form in self._forms if len(form) >= _LEAST_CHARS)
        for form in self._long_forms if only_long else self._forms:
            if form in text:
                text = text.replace(form, _STARS)
        return text

    def json(self, body: bytes) -> bytes:
        """A JSON text without them."""
        if not self._authorization:
            return body
        text = body.decode()
        if self.text(text) == text:
            return body
        # in each text by itself: what looks like a credential may reach over the marks of JSON
        return json.dumps(_each_text(json.loads(text), self.text), ensure_ascii=False).encode()


def _forms_of(authorization: str) -> tuple[str, ...]:
    after_scheme = authorization.strip().partition(" ")[2].strip()
    values = [authorization, authorization.strip()]
    if len(after_scheme) >= _LEAST_CHARS:
        values.append(after_scheme)
    forms: set[str] = set()
    for value in values:
        forms.add(value)
        if _LOOKS_ALIKE.fullmatch(value):  # most tokens do: the other forms take longer than all else here
            continue
        forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
        forms |= {quote(value, safe="", errors="surrogatepass"), quote(value, errors="surrogatepass")}
    forms.discard("")
    return tuple(sorted(forms, key=len, reverse=True))  # the value before its part


def _each_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_each_text(name, change): _each_text(item, change) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each_text(item, change) for item in value]
    return value


NO_CREDENTIALS = Credentials(None)

# --- the log: it is the process's, and a tool may write to it from any thread ---

_SECRET_LOGGER = "secret"  # noqa: S105 - a name
"""Of ivcap-service's `get_secret`."""
_own: contextvars.ContextVar[Credentials] = contextvars.ContextVar("lambda_kit_credentials", default=NO_CREDENTIALS)
_in_use: dict[str, tuple[Credentials, int]] = {}
_changing = threading.Lock()
_NOTHING: AbstractContextManager[Credentials] = contextlib.nullcontext(NO_CREDENTIALS)


def credentials_in_use(authorization: str | None) -> AbstractContextManager[Credentials]:
    """While the block lasts, no line of the log shows a job's authorization. Costs nothing where there is none."""
    return _InUse(authorization) if authorization else _NOTHING


class _InUse(AbstractContextManager[Credentials]):
    __slots__ = ("_authorization", "_token")

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __enter__(self) -> Credentials:
        with _changing:
            credentials, users = _in_use.get(self._authorization) or (Credentials(self._authorization), 0)
            _in_use[self._authorization] = (credentials, users + 1)
        self._token = _own.set(credentials)
        return credentials

    def __exit__(self, *_: object) -> None:
        _own.reset(self._token)
        with _changing:
            credentials, users = _in_use.pop(self._authorization)
            if users > 1:
                _in_use[self._authorization] = (credentials, users - 1)


def are_any_in_use() -> bool:
    """Whether `redacted` could find anything: a job with credentials runs in this process."""
    return bool(_in_use)


def redacted(value: Any) -> Any:
    """What is to be logged, without the credentials of the jobs that run in this process: a text, or plain data."""
    return _each_text(value, _redacted_text) if _in_use else value


def _redacted_text(text: str) -> str:
    text = _own.get().text(text)
    for credentials, _ in list(_in_use.values()):
        text = credentials.text(text, only_long=True)
    return text


@contextlib.contextmanager
def guard_logs() -> Iterator[None]:
    """While the block lasts, records of the log have no credentials in their messages and tracebacks.

    So it does not matter which handlers and formatters the process has. Nor has any record a part of a secret that
    ivcap-service's `get_secret` has got. (`lambda_kit.logs` has formatters that also
    look at what was added by `extra`.)
    """
    make_before = logging.getLogRecordFactory()

    def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make_before(*args, **kwargs)
        if record.name == _SECRET_LOGGER:
            _hide_ending(record)
        if _in_use:
            _redact(record)
        return record

    logging.setLogRecordFactory(make_record)
    try:
        yield
    finally:
        if logging.getLogRecordFactory() is make_record:  # else somebody has put another one on top
            logging.setLogRecordFactory(make_before)


def guard_secrets() -> None:
    """From now on no record has a part of a secret that ivcap-service's `get_secret` has got.

    Before a server runs, too: many services get their secrets while their file is imported.
    """
    logging.getLogger(_SECRET_LOGGER).addFilter(_hide_ending)


def _hide_ending(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple) and "ending in" in str(record.msg):
        record.args = (*record.args[:1], _STARS)  # it logs the last characters
    return True


_formatter = TracebackFormatter()


def _redact(record: logging.LogRecord) -> None:
    if isinstance(record.args, tuple):  # one by one: a formatter may want them, such as that of uvicorn's access log
        record.args = tuple(_redacted_text(arg) if isinstance(arg, str) else arg for arg in record.args)
    message = _message_of(record)
    if (redacted_message := _redacted_text(message)) != message:
        record.msg, record.args = redacted_message, None
    if record.exc_info:
        text = _formatter.formatException(record.exc_info)
        if (redacted_text := _redacted_text(text)) != text:
            record.exc_text, record.exc_info = redacted_text, None
    if record.stack_info:
        record.stack_info = _redacted_text(record.stack_info)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that don't fit: logging shows them, each by itself
        return f"{record.msg!r} {record.args!r}"
