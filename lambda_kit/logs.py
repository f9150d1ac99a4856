"""Logging of a service: lines for people or for machines, each with the job that it belongs to.

Nothing is configured when this is imported; a service file calls `logging_init` once. The formatters and
filters can be named in a configuration file of one's own (``"()": "lambda_kit.logs.JsonFormatter"``).
"""

import functools
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from logging import getLogger
from pathlib import Path
from typing import Any, Literal

import msgspec

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.credentials import guard_secrets, redacted
from lambda_kit.core.runtime.tracebacks import TracebackFormatter

__all__ = [
    "ConsoleFormatter",
    "JobFilter",
    "JsonFormatter",
    "SuppressPathsFilter",
    "getLogger",
    "logging_init",
]

_FORMATS = ("console", "json")
_PROBED_PATHS = ("/_healtz", "/_livez", "/metrics")

# what every record has; all else came by `extra`, but uvicorn's own, which repeats the message with colours
_RECORD_ATTRIBUTES = frozenset(
    {*vars(logging.makeLogRecord({})), "asctime", "message", "taskName", "job_id", "tool", "color_message"}
)

# What is written as the value of `authorization` (in JSON, a repr or plain text), and bearer tokens anywhere.
# In a JSON line a match must not reach over the end of a string: the value holds no quote and no backslash.
_CREDENTIALS = re.compile(
    r"""(
        (?: authorization\\*+"\s*+:\s*+\\*+"
          | authorization'\s*+[:,]\s*+b?'
          | authorization\s*+[:=]\s*+(?:b?\\*+["'])?+
        ) (?:(?:basic|bearer|digest|token)\s++)?
      | \bbearer\s++(?=[\w.~+/=-]{12})
    ) [^\s\\"',;)}\]]++""",
    re.IGNORECASE | re.VERBOSE,
)


_MAY_HOLD_CREDENTIALS = ("author", "bearer")
"""In lower case, a part of all that `_CREDENTIALS` finds: to look for these first takes a tenth of the time. (No other
letters than those of ASCII count as the same as one of them.)"""

_SIMPLE = frozenset((str, int, bool, type(None)))
"""Types of values that JSON has as they are."""

_encode_simple = json.JSONEncoder().encode


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class JobFilter(logging.Filter):
    """Puts ``job_id`` and ``tool`` on each record: of the job in whose context the line is logged, or None.

    It belongs on a handler: that runs in the thread and task of the line, whichever logger it came from.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looking = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record; what was set by `extra` stays."""
        missing = [name for name in ("job_id", "tool") if not hasattr(record, name)]
        if missing:
            job = self._job()
            for name in missing:
                setattr(record, name, getattr(job, name, None))
        return True

    def _job(self) -> Any:
        # looked up, not imported: a process that has not loaded it runs no job, and need not pay for it
        current_job = getattr(sys.modules.get("lambda_kit.core.tools.context"), "current_job", None)
        # the context is made when it is first asked for, and what is logged by that must not ask again
        if current_job is None or getattr(self._looking, "now", False):
            return None
        self._looking.now = True
        try:
            return current_job()
        finally:
            self._looking.now = False


class SuppressPathsFilter(logging.Filter):
    """Drops uvicorn's access lines of requests for some paths, for a query too.

    Args:
        targets: The paths.
    """

    def __init__(self, targets: Iterable[str] = ()) -> None:
        super().__init__()
        self.targets = frozenset(targets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record unless it is an access line of one of the paths."""
        # uvicorn.access logs with (client, method, path, http version, status)
        if isinstance(record.args, tuple) and len(record.args) > 2:
            return str(record.args[2]).partition("?")[0] not in self.targets
        return True


class ConsoleFormatter(TracebackFormatter):
    """One line for people: time, level, logger, the job's id if there is one, and the message.

    Further lines, such as those of a traceback, are indented, and control characters are escaped: whatever a client or
    a tool puts into a message, it can't look like another line or reach the terminal. Values of ``authorization`` and
    bearer tokens are blanked.
    """

    default_time_format = "%Y-%m-%dT%H:%M:%S%z"
    default_msec_format = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._second: tuple[int, str] = (-1, "")  # what was formatted last: many lines are of one second

    def usesTime(self) -> bool:  # noqa: N802 - logging's name
        """Every line has the time."""
        return True

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """The time, to the second."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second, text = self._second
        if second != int(record.created):
            text = super().formatTime(record)
            self._second = (int(record.created), text)
        return text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The first line, without a traceback."""
        job_id = getattr(record, "job_id", None)
        job = f" [{job_id}]" if job_id else ""
        return f"{record.asctime} {record.levelname} ({_logger_name(record)}){job}: {record.message}"

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback behind it."""
        return _harmless(without_credentials(redacted(super().format(record))))


class JsonFormatter(TracebackFormatter):
    """One JSON object per line.

    Members: ``timestamp`` (RFC 3339, UTC), ``level``, ``logger``, ``message``; ``job_id`` and ``tool`` in a
    job; ``exc_info`` and ``stack_info`` as text where there are; then what was given by ``extra``, under
    ``extra_<name>`` where the name is one of these. What has no JSON form is there as its `repr`. Values of
    ``authorization`` and bearer tokens are blanked.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The object, in one line."""
        second, micros = divmod(round(record.created * 1_000_000), 1_000_000)
        line: dict[str, Any] = {
            "timestamp": f"{_utc_second(second)}.{micros // 1000:03d}Z",
            "level": record.levelname,
            "logger": _logger_name(record),
            "message": record.getMessage(),
        }
        for name in ("job_id", "tool"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exc_info"] = record.exc_text
        if record.stack_info:
            line["stack_info"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _RECORD_ATTRIBUTES:
                line[f"extra_{name}" if name in line else name] = value
        text = _encoded(line)
        if redacted(text) != text:  # of each text by itself: the line must stay JSON
            text = json.dumps(redacted(json.loads(text)))
        return without_credentials(text)


def logging_init(
    cfg_path: str | os.PathLike[str] | None = None,
    *,
    fmt: Literal["console", "json"] | None = None,
    level: int | str | None = None,
) -> None:
    """Configure the process's logging, for a service that runs on its own.

    Calling it again is harmless: the last call counts. `ivcap_service.service_log_config` then returns the
    configuration, for whoever starts a server.

    Args:
        cfg_path: A JSON file in the form of `logging.config.dictConfig`, used instead of all that is below.
        fmt: ``console`` (lines for people) or ``json`` (an object per line), both to standard error.
            Default: ``$LAMBDA_KIT_LOG_FORMAT``, else ``console``.
        level: The least level to be logged, as `logging` has it. Default: ``$LAMBDA_KIT_LOG_LEVEL``, else
            ``INFO``.

    Raises:
        ConfigurationError: if the format or level is unknown, the file is not a JSON object, or a file is
            given together with a format or level.
        OSError: if the file can't be read.
    """
    if cfg_path is None:
        config = _config(_chosen_format(fmt), _chosen_level(level))
    elif fmt is None and level is None:
        config = _config_from(Path(cfg_path))
    else:
        raise ConfigurationError(
            f"logging_init got both a file ({os.fspath(cfg_path)}) and fmt or level: say them in the file"
        )
    # imported here since it takes most of a second, which `from lambda_kit.logs import getLogger` need not
    from ivcap_service import set_service_log_config  # noqa: PLC0415

    set_service_log_config(config)
    guard_secrets()


def _config(fmt: str, level: int) -> dict[str, Any]:
    """The configuration as plain data, which survives a way through JSON."""
    formatter = JsonFormatter if fmt == "json" else ConsoleFormatter
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "default"}
    propagating: dict[str, Any] = {"level": "NOTSET", "handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "job": {"()": f"{__name__}.{JobFilter.__name__}"},
            "probes": {"()": f"{__name__}.{SuppressPathsFilter.__name__}", "targets": list(_PROBED_PATHS)},
        },
        "formatters": {"default": {"()": f"{__name__}.{formatter.__name__}"}},
        "handlers": {
            "default": {**stream, "filters": ["job"]},
            # the filter is not on the logger: dictConfig would add it there again each time
            "access": {**stream, "filters": ["job", "probes"]},
        },
        "root": {"level": level, "handlers": ["default"]},
        "loggers": {
            "uvicorn": dict(propagating),
            "uvicorn.error": dict(propagating),
            # whoever asks for the access log gets it, whatever else is logged
            "uvicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
            # it logs each request to the sidecar at INFO: a line per event
            "httpx": {"level": "NOTSET" if level < logging.INFO else "WARNING"},
            "httpx2": {"level": "NOTSET" if level < logging.INFO else "WARNING"},
        },
    }


def _chosen_format(fmt: str | None) -> str:
    chosen = fmt or os.environ.get("LAMBDA_KIT_LOG_FORMAT") or "console"
    if chosen.lower() not in _FORMATS:
        raise ConfigurationError(
            f"unknown log format {chosen!r}: fmt or $LAMBDA_KIT_LOG_FORMAT must be {' or '.join(_FORMATS)}"
        )
    return chosen.lower()


def _chosen_level(level: int | str | None) -> int:
    chosen = level if level is not None else os.environ.get("LAMBDA_KIT_LOG_LEVEL") or "INFO"
    if isinstance(chosen, int):
        return chosen
    known = logging.getLevelNamesMapping()
    if chosen.upper() not in known:
        raise ConfigurationError(
            f"unknown log level {chosen!r}: level or $LAMBDA_KIT_LOG_LEVEL must be one of {', '.join(known)}"
        )
    return known[chosen.upper()]


def _config_from(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except ValueError as error:
        raise ConfigurationError(
            f"the logging configuration {path} must be a JSON object, as for dictConfig: {error}"
        ) from error


def _logger_name(record: logging.LogRecord) -> str:
    # uvicorn logs its ordinary lines ("Started server process") under a name that alarms people
    return "uvicorn" if record.name == "uvicorn.error" else record.name


@functools.lru_cache(maxsize=2)  # many lines are of one second
def _utc_second(seconds: int) -> str:
    """A time since the epoch, in UTC (RFC 3339, without the zone)."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def _encoded(line: dict[str, Any]) -> str:
    """The line as JSON in ASCII, which every terminal and collector can take."""
    if _SIMPLE.issuperset(map(type, line.values())):
        return _encode_simple(line)
    try:
        # bytes stay bytes here, to be shown by `repr`, not in base64
        plain = msgspec.to_builtins(line, builtin_types=(bytes, bytearray), str_keys=True, enc_hook=repr)
        return json.dumps(plain, default=repr, allow_nan=False)
    except Exception:  # noqa: BLE001 - cycles, odd keys, nan: a line is not lost because of what it holds
        return json.dumps({name: value if isinstance(value, str) else repr(value) for name, value in line.items()})


def _harmless(text: str) -> str:
    """Escape control characters, but tabs and line feeds, and line separators; indent further lines."""
    if text.isprintable():  # nearly every line, and ten times as fast
        return text
    text = _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)
    return text.replace("\n", "\n  ") if "\n" in text else text


def without_credentials(text: str) -> str:
    """A text in which the values of ``authorization`` and bearer tokens are blanked."""
    lowered = text.lower()
    if not any(part in lowered for part in _MAY_HOLD_CREDENTIALS):
        return text
    return _CREDENTIALS.sub(r"\1[redacted]", text)
