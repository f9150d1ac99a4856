"""``--reload``: runs the service in a process of its own, and starts it again when its files change."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lambda_kit.core.errors import ConfigurationError

__all__ = ["is_reloaded", "serve_with_reload"]

logger = logging.getLogger("lambda_kit.server")

_VARIABLE = "LAMBDA_KIT_RELOAD_LIFELINE"
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5.0
_SIGNAL_BASE = 128
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


def is_reloaded() -> bool:
    """Whether this process was started by another one that looks for changes; it then ends with that one."""
    lifeline = os.environ.pop(_VARIABLE, None)  # what a tool starts is no such process
    if lifeline is None:
        return False
    os.set_inheritable(int(lifeline), False)
    threading.Thread(target=_end_with_parent, args=(int(lifeline),), name="lambda_kit lifeline", daemon=True).start()
    return True


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written there
    os.kill(os.getpid(), signal.SIGTERM)


def serve_with_reload() -> None:
    """Run this program's command line until a signal comes, again after each change of a Python file beside it.

    Beside it are the files of the folder of the service file, or of its package, and of the folders in there. A service
    that has ended by itself, such as by a mistake in its file, is started again after the next change. Jobs that run
    when a file changes have 5 s.

    Raises:
        ConfigurationError: if this program has no file.
        SystemExit: with the exit code of the service, where it is not 0.
    """
    folder = _folder_of_main()
    logger.info("looking for changes of Python files in %s", folder)
    _Reloader(folder).run()


class _Reloader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_signalled = threading.Event()
        self._signals = 0

    def run(self) -> None:
        """Until a signal comes."""
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        lifeline, held = os.pipe()
        service = _start(lifeline)
        try:
            seen = _times(self._folder)
            has_told = False
            while not self._is_signalled.wait(_LOOK_SECONDS):
                if service.poll() is not None and not has_told:
                    has_told = True
                    logger.warning("the service has ended (exit code %s): waiting for a change", service.returncode)
                now = _times(self._folder)
                if now != seen:
                    changed = sorted(str(file) for file, _ in seen.items() ^ now.items())
                    logger.info("%s has changed: starting the service again", changed[0])
                    seen, has_told = now, False
                    _stop(service)
                    service = _start(lifeline)
            service.terminate()
            code = service.wait()
        finally:
            service.kill()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(lifeline)
            os.close(held)
        if code:
            sys.exit(code if code > 0 else _SIGNAL_BASE - code)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._is_signalled.set()
        if self._signals > 1:
            os._exit(_SIGNAL_BASE + number)  # the service notices by its lifeline


def _start(lifeline: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - it is this program again
        [sys.executable, *sys.orig_argv[1:]],
        env={**os.environ, _VARIABLE: str(lifeline)},
        pass_fds=[lifeline],
        process_group=0,  # so that Ctrl-C comes here only
    )


def _stop(service: "subprocess.Popen[bytes]") -> None:
    for end in (service.terminate, service.terminate, service.kill):  # a second signal ends it at once
        end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.wait(_STOP_SECONDS)
            return


def _folder_of_main() -> Path:
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None:
        raise ConfigurationError("--reload: the service must be started from a file, which is run again")
    folder = Path(file).resolve().parent
    package = (getattr(main, "__package__", None) or "").split(".")  # python -m package.module
    return folder.parents[len(package) - 2] if len(package) > 1 else folder


def _times(folder: Path) -> dict[Path, int]:
    """When each Python file in a folder was changed."""
    times: dict[Path, int] = {}
    for file in _python_files(folder):
        with contextlib.suppress(OSError):  # it is just being replaced
            times[file] = file.stat().st_mtime_ns
    return times


def _python_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in files if name.endswith(".py"))
