"""Several processes on one port (``--workers N``): starts them, replaces those that die, and ends them."""

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from lambda_kit.cli.served import Served
from lambda_kit.cli.service_server import ServiceServer
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.cli.tls import HANGUP, Tls, hangup_held_back
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.retry import BackOff

__all__ = ["WorkerBonds", "serve_as_worker", "supervise", "worker_bonds"]

logger = logging.getLogger("lambda_kit.server")

_VARIABLE = "LAMBDA_KIT_WORKER_BONDS"
_SHARES = {"UV_TCP_SINGLE_ACCEPT": "1"}
"""Has libuv, under uvloop, let other processes go first after each connection that it accepts: without, the first that
wakes up takes all that have come at once."""
_SIGNAL_BASE = 128
_SECONDS_TO_DIE = 10.0
_KILLED = _SIGNAL_BASE + signal.SIGKILL
_STABLE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0


class WorkerBonds(NamedTuple):
    """What a worker process has from its parent: file descriptors."""

    socket: int
    """Where requests come in."""
    lifeline: int
    """Closed when the parent is gone."""
    turn: int
    """Where the first worker says that it has started. The others open the port then: so nobody who was told that the
    service is ready meets one that is not."""
    is_first: bool


def worker_bonds() -> WorkerBonds | None:
    """What this process, if it is a worker, has from its parent; for the first caller only. None: it is no worker."""
    text = os.environ.pop(_VARIABLE, None)  # what a tool starts is no worker
    if text is None:
        return None
    requests, lifeline, turn, is_first = map(int, text.split(","))
    for descriptor in (requests, lifeline, turn):
        os.set_inheritable(descriptor, False)
    return WorkerBonds(requests, lifeline, turn, bool(is_first))


def serve_as_worker(
    server: Served,
    options: Mapping[str, Any],
    bonds: WorkerBonds,
    *,
    collects: bool,
    bounds: StopBounds,
    tls: Tls | None,
) -> None:
    """Serve on the parent's socket until a signal comes, or the parent is gone.

    Raises:
        SystemExit: with 3 if the app can't be started; why is in the log.
    """
    threading.Thread(target=_end_with_parent, args=(bonds.lifeline,), name="lambda_kit lifeline", daemon=True).start()
    with socket.socket(fileno=bonds.socket) as sock:
        service = ServiceServer(
            server,
            options,
            collects=collects,
            opens_after=None if bonds.is_first else bonds.turn,
            on_started=(lambda: _say_started(bonds.turn)) if bonds.is_first else None,
            bounds=bounds,
            tls=tls,
        )
        service.run([sock])


def _say_started(turn: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the others are gone
        os.write(turn, b"\n")  # which nobody takes out
    os.close(turn)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written there
    logger.warning("the process that had started this worker is gone: stopping")
    os.kill(os.getpid(), signal.SIGTERM)


def supervise(
    options: Mapping[str, Any], count: int, *, grace_seconds: float, bounds: StopBounds, tls: Tls | None = None
) -> None:
    """Serve by so many processes, each of which runs this program's command line, until a signal comes.

    With TLS, SIGHUP is handed on to them.

    Args:
        options: Arguments for `uvicorn.Config`, such as host and port.
        count: How many.
        grace_seconds: For how long the workers wait for their jobs, once they were told to end.
        bounds: How long the end of each may take besides.
        tls: The certificate, which each of them reads by itself. None: they speak HTTP.

    Raises:
        SystemExit: with 3 if the port is taken or the workers can't be started, with 137 if workers had to be killed
            since they did not end, with 128 + N after a second signal N; why is in the log.
        ConfigurationError: if this program can't be started again by its command line.
    """
    if getattr(sys.modules["__main__"], "__file__", None) is None:
        raise ConfigurationError("--workers: the service must be started from a file, which each worker runs")
    https = {} if tls is None else {"ssl_certfile": str(tls.cert)}  # for the line that says where it is
    sock = uvicorn.Config("", **{**options, **https, "log_config": None}).bind_socket()
    with sock:
        stop_seconds = grace_seconds + bounds.longest_end_seconds + bounds.spare_seconds
        _Supervisor(sock, count, stop_seconds, reloads=tls is not None).run()


class _Supervisor:
    def __init__(self, sock: socket.socket, count: int, stop_seconds: float, *, reloads: bool) -> None:
        self._sock = sock
        self._stop_seconds = stop_seconds
        self._workers: dict[int, subprocess.Popen[bytes] | None] = dict.fromkeys(range(count))
        self._pauses = [BackOff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS) for _ in range(count)]
        self._has_ended = [False] * count
        self._news: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._started_at = [0.0] * count
        self._stop_by: float | None = None
        self._exit_code = 0
        self._signals: list[int] = [signal.SIGTERM, signal.SIGINT]
        if reloads and HANGUP is not None:
            self._signals.append(HANGUP)
        self._lifeline, self._held = os.pipe()
        self._turn, self._of_first = os.pipe()

    def run(self) -> None:
        """Until the last worker has ended."""
        handlers = {number: signal.signal(number, self._on_signal) for number in self._signals}
        try:
            self._start(0, is_first=True)
            os.close(self._of_first)  # where the first dies, the others go on without it
            for index in range(1, len(self._workers)):
                self._start(index)
            while self._stop_by is None or any(self._workers.values()):
                self._attend()
        finally:
            self._kill_all()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for descriptor in (self._lifeline, self._held, self._turn):
                os.close(descriptor)
        if self._exit_code:
            sys.exit(self._exit_code)

    def _attend(self) -> None:
        left_seconds = None if self._stop_by is None else max(0.0, self._stop_by - time.monotonic())
        try:
            what, number = self._news.get(timeout=left_seconds)
        except queue.Empty:
            count = sum(worker is not None for worker in self._workers.values())
            self._exit_code = self._exit_code or _KILLED
            logger.error("workers that have not ended in time are killed, with what they did: %d", count)
            self._kill_all()
            self._stop_by = time.monotonic() + _SECONDS_TO_DIE
            return
        if what == "signal":
            self._take_signal(number)
        elif what == "ended":
            self._take_end(number)
        elif self._stop_by is None:
            self._start(number)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._news.put(("signal", number))

    def _take_signal(self, number: int) -> None:
        if number == HANGUP:
            for worker in self._workers.values():
                if worker is not None:
                    worker.send_signal(number)
            return
        if self._stop_by is not None:
            logger.warning("%s again: ending at once", signal.Signals(number).name)
            self._exit_code = _SIGNAL_BASE + number
            self._kill_all()
            return
        logger.info("%s: the workers stop when the jobs that were accepted have ended", signal.Signals(number).name)
        self._stop()

    def _stop(self) -> None:
        self._stop_by = time.monotonic() + self._stop_seconds
        for worker in self._workers.values():
            if worker is not None:
                worker.terminate()

    def _take_end(self, index: int) -> None:
        worker, self._workers[index] = self._workers[index], None
        code = None if worker is None else worker.returncode
        if self._stop_by is not None:
            return
        if time.monotonic() - self._started_at[index] >= _STABLE_SECONDS:
            self._pauses[index].reset()
        is_first, self._has_ended[index] = not self._has_ended[index], True
        if code == STARTUP_FAILURE and is_first:  # however long its start took; a later one may do better
            logger.error("a worker can't be started: stopping")
            self._exit_code = STARTUP_FAILURE
            self._stop()
            return
        pause = self._pauses[index].next_pause()
        logger.warning("a worker has ended (exit code %s): another is started in %g s", code, pause)
        timer = threading.Timer(pause, self._news.put, (("start", index),))
        timer.daemon = True
        timer.start()

    def _start(self, index: int, *, is_first: bool = False) -> None:
        turn = self._of_first if is_first else self._turn
        bonds = WorkerBonds(self._sock.fileno(), self._lifeline, turn, is_first)
        with hangup_held_back() if HANGUP in self._signals else contextlib.nullcontext():
            worker = subprocess.Popen(  # noqa: S603 - it is this program again
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, **_SHARES, _VARIABLE: ",".join(str(int(bond)) for bond in bonds)},
                pass_fds=bonds[:3],
                process_group=0,  # so that Ctrl-C comes here only
            )
        self._workers[index] = worker
        self._started_at[index] = time.monotonic()
        threading.Thread(target=self._await_end, args=(index, worker), daemon=True).start()

    def _await_end(self, index: int, worker: "subprocess.Popen[bytes]") -> None:
        worker.wait()
        self._news.put(("ended", index))

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            if worker is not None:
                worker.kill()
