"""What a service writes to its log."""

import asyncio
import contextvars
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ivcap_service
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.running import running_job
from lambda_kit.core.tools.context import JobContext
from lambda_kit.logs import JsonFormatter, getLogger, logging_init

CONFIGURED = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "mine")


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("LAMBDA_KIT_LOG_FORMAT", raising=False)
    monkeypatch.delenv("LAMBDA_KIT_LOG_LEVEL", raising=False)
    loggers = [logging.getLogger(name) for name in CONFIGURED]
    before = [(logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    def read() -> list[str]:
        captured = capsys.readouterr()
        assert captured.out == "", "standard output belongs to what is printed for the platform"
        return captured.err.splitlines()

    return read


@contextmanager
def job(job_id: str, tool: str = "greet") -> Iterator[None]:
    context = JobContext(job_id=job_id, tool=tool)
    token = running_job.set(lambda: context)
    try:
        yield
    finally:
        running_job.reset(token)


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


# lines for people


def test_a_line_has_time_level_logger_and_message(lines):
    logging_init()
    getLogger("app").warning("disk %s", "full")
    (line,) = lines()
    when, rest = line.split(" ", 1)
    assert rest == "WARNING (app): disk full"
    assert abs(datetime.strptime(when, "%Y-%m-%dT%H:%M:%S%z") - datetime.now(UTC)).total_seconds() < 60


def test_a_line_of_a_job_has_its_id(lines):
    logging_init()
    with job("job-1"):
        getLogger("app").info("inside")
    getLogger("app").info("outside")
    inside, outside = lines()
    assert inside.endswith(" INFO (app) [job-1]: inside")
    assert outside.endswith(" INFO (app): outside")


def test_each_thread_and_task_logs_its_own_job(lines):
    logging_init(fmt="json")
    barrier = threading.Barrier(2, timeout=30)

    def in_thread(job_id: str) -> None:
        with job(job_id):
            barrier.wait()
            getLogger("app").info(job_id)

    async def in_task(job_id: str, mine: asyncio.Event, other: asyncio.Event) -> None:
        with job(job_id):
            mine.set()
            await asyncio.wait_for(other.wait(), 30)
            getLogger("app").info(job_id)
            await asyncio.to_thread(getLogger("app").info, job_id)

    async def both() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(in_task("task-1", one, two), in_task("task-2", two, one))

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(in_thread, f"thread-{n}")) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    asyncio.run(both())
    found = objects(lines())
    assert sorted(line["job_id"] for line in found) == ["task-1"] * 2 + ["task-2"] * 2 + [
        "thread-1",
        "thread-2",
    ]
    assert all(line["job_id"] == line["message"] for line in found)


def test_what_is_logged_while_a_jobs_context_is_made_is_logged_too(lines):
    logging_init()

    def make() -> JobContext:
        getLogger("maker").info("making")
        return JobContext(job_id="job-1")

    token = running_job.set(make)
    try:
        getLogger("app").info("asking")
    finally:
        running_job.reset(token)
    making, asking = lines()
    assert making.endswith("(maker): making")
    assert asking.endswith("(app) [job-1]: asking")


def test_a_traceback_follows_its_line(lines):
    logging_init()
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        getLogger("app").exception("it failed")
    found = lines()
    assert found[0].endswith("ERROR (app): it failed")
    assert found[1] == "  Traceback (most recent call last):"
    assert found[-1] == "  RuntimeError: boom"


def test_what_is_logged_can_neither_look_like_another_line_nor_reach_the_terminal(lines):
    logging_init()
    forged = "\r\x1b[31m\x9b1m\u2028\x00\n2026-01-01T00:00:00+0000 INFO (root): forged"
    getLogger("app").info("a\tb%s", forged)
    try:
        raise RuntimeError(forged)
    except RuntimeError:
        getLogger("app").exception("it failed")
    found = lines()
    assert found[0].endswith(r"(app): a	b\r\x1b[31m\x9b1m\u2028\x00".replace(r"\t", "\t"))
    assert [line for line in found if line.startswith("2026-01-01")] == []
    assert "\x1b" not in "".join(found)


# lines for machines


def test_a_json_line_has_what_a_collector_needs(lines):
    logging_init(fmt="json")
    with job("job-1", "greet"):
        getLogger("app").info("hello %s", "w\xf6rld\n", extra={"n": 1, "when": datetime(2026, 1, 2, tzinfo=UTC)})
    (line,) = objects(lines())
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert datetime.fromisoformat(timestamp).utcoffset() is not None
    assert line == {
        "level": "INFO",
        "logger": "app",
        "message": "hello w\xf6rld\n",
        "job_id": "job-1",
        "tool": "greet",
        "n": 1,
        "when": "2026-01-02T00:00:00Z",
    }


def test_a_json_line_outside_of_a_job_names_none(lines):
    logging_init(fmt="json")
    getLogger("app").info("hello")
    (line,) = objects(lines())
    assert set(line) == {"timestamp", "level", "logger", "message"}


def test_an_exception_is_a_member_of_its_json_line(lines):
    logging_init(fmt="json")
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        getLogger("app").exception("it failed", stack_info=True)
    (line,) = objects(lines())
    assert line["exc_info"].startswith("Traceback (most recent call last):")
    assert line["exc_info"].endswith("RuntimeError: boom")
    assert line["stack_info"].startswith("Stack (most recent call last):")


def test_an_extra_does_not_replace_a_member_of_the_line(lines):
    logging_init(fmt="json")
    with job("job-1"):
        getLogger("app").info("hello", extra={"level": "mine", "logger": "mine", "exc": None})
    (line,) = objects(lines())
    assert (line["level"], line["extra_level"]) == ("INFO", "mine")
    assert (line["logger"], line["extra_logger"]) == ("app", "mine")
    assert line["exc"] is None


def test_extras_without_a_json_form_are_shown_not_lost(lines):
    logging_init(fmt="json")
    cycle: list[Any] = []
    cycle.append(cycle)
    awkward = [object(), b"raw", 10**40, float("nan"), "\ud800", {(1, 2): {3}}, cycle, Path("a"), int]
    for value in awkward:
        getLogger("app").info("odd", extra={"value": value})
    found = objects(lines())
    assert [line["message"] for line in found] == ["odd"] * len(awkward)
    assert all("value" in line for line in found)
    assert found[1]["value"] == "b'raw'"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Bearer abcdefghijklm"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["authorization", "a", 'b"']), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text() | st.text("authorizn:=\\\"' ,{[B").map("authorization{0} bearer {0}aaaaaaaaaaaaa".format),
    st.dictionaries(st.sampled_from(["authorization", "Authorization", "level", "x"]), JSON_VALUES),
)
def test_every_json_line_is_one_line_of_json(message: str, extra: dict[str, Any]):
    record = logging.makeLogRecord(
        {"msg": message, "name": "app", "levelname": "INFO"} | {"e_" + k: v for k, v in extra.items()}
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert set(line) == {"timestamp", "level", "logger", "message"} | {"e_" + name for name in extra}


# credentials

SECRET = "c2VjcmV0LXRva2Vu"


@pytest.mark.parametrize("fmt", ["console", "json"])
@pytest.mark.parametrize(
    "said",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}",
        f"job_authorization='Bearer {SECRET}'",
        str({"Authorization": f"Bearer {SECRET}"}),
        str({"authorization": SECRET}),
        str([(b"authorization", b"Basic " + SECRET.encode())]),
        json.dumps({"Authorization": f"token {SECRET}"}),
        f"curl -H 'authorization: Bearer {SECRET}'",
        f"sent bearer {SECRET}.",
    ],
)
def test_credentials_are_blanked(lines, fmt, said: str):
    logging_init(fmt=fmt)
    getLogger("app").info("before %s after", said)
    try:
        raise RuntimeError(said)
    except RuntimeError:
        getLogger("app").exception("failed")
    text = "\n".join(lines())
    assert SECRET not in text
    assert text.count("[redacted]") >= 2
    assert " after" in text


def test_credentials_in_extras_are_blanked(lines):
    logging_init(fmt="json")
    getLogger("app").info("a", extra={"authorization": f"Basic {SECRET}"})
    getLogger("app").info("b", extra={"headers": {"Authorization": f"Bearer {SECRET}"}})
    getLogger("app").info("c", extra={"headers": [(b"authorization", b"Bearer " + SECRET.encode())]})
    text = "\n".join(lines())
    assert text.count("[redacted]") == 3
    assert SECRET not in text


def test_text_about_authorization_is_left_alone(lines):
    logging_init()
    getLogger("app").info("no authorization given, the bearer of this is unknown")
    assert lines()[0].endswith("no authorization given, the bearer of this is unknown")


# what is logged


def test_info_is_logged_and_debug_is_not(lines):
    logging_init()
    getLogger("app").debug("no")
    getLogger("app").info("yes")
    assert [line.rpartition(" ")[2] for line in lines()] == ["yes"]


@pytest.mark.parametrize("level", ["debug", "DEBUG", logging.DEBUG])
def test_the_level_can_be_given(lines, level):
    logging_init(level=level)
    getLogger("app").debug("yes")
    assert len(lines()) == 1


def test_level_and_format_come_from_the_environment_too(lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMBDA_KIT_LOG_FORMAT", "json")
    monkeypatch.setenv("LAMBDA_KIT_LOG_LEVEL", "error")
    logging_init()
    getLogger("app").warning("no")
    getLogger("app").error("yes")
    (line,) = objects(lines())
    assert line["message"] == "yes"


def test_arguments_win_over_the_environment(lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMBDA_KIT_LOG_FORMAT", "json")
    monkeypatch.setenv("LAMBDA_KIT_LOG_LEVEL", "error")
    logging_init(fmt="console", level="INFO")
    getLogger("app").info("yes")
    assert lines()[0].endswith("INFO (app): yes")


def test_probes_are_not_in_the_access_log(lines):
    logging_init()
    access = getLogger("uvicorn.access")
    for path in ("/_healtz", "/_livez?full=1", "/metrics", "/greet"):
        access.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", path, "1.1", 200)
    (line,) = lines()
    assert line.endswith('INFO (uvicorn.access): 127.0.0.1:1 - "GET /greet HTTP/1.1" 200')


def test_a_line_that_merely_speaks_of_a_health_path_is_kept(lines):
    logging_init()
    getLogger("app").info("%s %s %s", "a", "b", "/_healtz")
    assert len(lines()) == 1


def test_uvicorns_ordinary_lines_do_not_look_like_errors(lines):
    logging_init()
    getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[36mStarted"})
    assert lines()[0].endswith("INFO (uvicorn): Started")


def test_a_line_for_each_call_of_the_sidecar_is_only_for_debugging(lines):
    logging_init()
    getLogger("httpx").info("no")
    getLogger("httpx").warning("yes")
    logging_init(level="DEBUG")
    getLogger("httpx").info("yes")
    assert [line.rpartition(" ")[2] for line in lines()] == ["yes", "yes"]


def test_configuring_twice_does_not_log_twice(lines):
    logging_init(fmt="json")
    logging_init()
    logging_init()
    getLogger("app").info("once")
    getLogger("uvicorn.error").info("once")
    getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "c", "GET", "/", "1.1", 200)
    assert len(lines()) == 3


# configuration


def test_ivcap_service_knows_the_configuration_as_plain_data():
    logging_init(fmt="json")
    config = ivcap_service.service_log_config()
    assert json.loads(json.dumps(config)) == config
    assert "JsonFormatter" in config["formatters"]["default"]["()"]


def test_a_file_of_ones_own_replaces_it_all(lines, tmp_path: Path):
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"job": {"()": "lambda_kit.logs.JobFilter"}},
        "formatters": {"short": {"format": "%(job_id)s|%(tool)s|%(message)s"}},
        "handlers": {
            "err": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "short",
                "filters": ["job"],
            }
        },
        "loggers": {"mine": {"level": "DEBUG", "handlers": ["err"], "propagate": False}},
    }
    path = tmp_path / "logging.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    logging_init(path)
    assert ivcap_service.service_log_config() == config
    with job("job-1", "greet"):
        getLogger("mine").debug("hello")
    getLogger("mine").debug("hello")
    logging_init(str(path))
    assert lines() == ["job-1|greet|hello", "None|None|hello"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"fmt": "xml"}, r"'xml'.*LAMBDA_KIT_LOG_FORMAT.*console or json"),
        ({"level": "loud"}, r"'loud'.*LAMBDA_KIT_LOG_LEVEL.*WARNING"),
        ({"cfg_path": "x.json", "level": "INFO"}, r"x\.json.*say them in the file"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_allowed(arguments: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says):
        logging_init(**arguments)


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path: Path, content: str):
    path = tmp_path / "logging.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"logging\.json"):
        logging_init(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        logging_init(tmp_path / "none.json")


@pytest.mark.processes
def test_importing_configures_nothing():
    code = "import logging, lambda_kit.logs; print(logging.root.handlers, logging.root.level)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[] 30"
