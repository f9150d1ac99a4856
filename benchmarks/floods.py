"""What a client can do to a service: `python -m benchmarks.floods` prints a table in Markdown.

Each flood hits a service of its own, which shares a store with a second one and runs jobs of its own meanwhile. Another
process asks `/_livez` over a new connection each 10 ms. ``--only NAMES`` chooses floods, ``--store URL`` the store.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, running

__all__ = ["main"]

MIB = 2**20
JOBS = 20
SETTLE_SECONDS = 2.0
TRICKLE_SECONDS = 15.0
Answers = collections.Counter[str]


@dataclass
class Target:
    """One service under attack."""

    port: int
    pid: int

    def memory_bytes(self, what: str = "VmRSS") -> int:
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(what))

    def ask(self, method: str, path: str, body: Any = None) -> tuple[Any, bytes]:
        """The headers and the body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"content-type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers, answer.read()

    def new_job(self, **body: Any) -> str:
        """A job that sleeps; returns its id."""
        return str(self.ask("POST", "/sleep", body)[0]["job-id"])


# --- one client ---


async def exchange(target: Target, head: str, body: bytes = b"", *, seconds: float = 120.0) -> str:
    """Send one request and read its whole answer; returns the status, or how the connection ended."""
    request = f"{head} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return await converse(target, request.encode() + body, seconds=seconds)


async def converse(target: Target, data: bytes, *, seconds: float = 120.0) -> str:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            try:
                with contextlib.suppress(ConnectionError):  # it may answer before it has read all
                    writer.write(data)
                    await writer.drain()
                first = b""
                while piece := await reader.read(65536):
                    first = first or piece
            finally:
                writer.close()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return type(error).__name__
    return first.split(b" ")[1].decode() if first else "closed"


async def together(calls: list[Awaitable[str]]) -> Answers:
    return collections.Counter(await asyncio.gather(*calls))


# --- the floods ---


def body_of(member: str, unit: bytes, size: int) -> bytes:
    """A list of as many units as have room in a body of that size."""
    return b'{"%s":[' % member.encode() + b",".join([unit] * ((size - 32) // (len(unit) + 1))) + b"]}"


async def posts(target: Target, path: str, body: bytes, times: int = 3) -> Answers:
    """One after the other."""
    return collections.Counter([await exchange(target, f"POST {path}", body) for _ in range(times)])


async def watchers_that_never_read(target: Target) -> Answers:
    path = f"/jobs/{target.new_job(events=2000)}/events"
    socks: list[socket.socket] = []
    for _ in range(500):
        sock = socket.create_connection(("127.0.0.1", target.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        socks.append(sock)
        await asyncio.sleep(0)
    await asyncio.sleep(5.0)
    for sock in socks:
        sock.close()
    return collections.Counter({"held": len(socks)})


async def watchers_of_many_events(target: Target) -> Answers:
    path = f"/jobs/{target.new_job(events=2000)}/events"
    await asyncio.sleep(1.0)
    return await together([exchange(target, f"GET {path}") for _ in range(100)])


async def slow_headers(target: Target) -> Answers:
    async def one() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        until = time.monotonic() + TRICKLE_SECONDS
        try:
            writer.write(b"GET /_livez HTTP/1.1\r\nx-slow: ")
            while time.monotonic() < until:
                writer.write(b"a")
                with contextlib.suppress(TimeoutError):
                    answer = await asyncio.wait_for(reader.read(64), 1.0)
                    return answer.split(b" ")[1].decode() if answer else "closed"
        except OSError as error:
            return type(error).__name__
        finally:
            writer.close()
        return "still open"

    return await together([one() for _ in range(500)])


async def endless_headers(target: Target) -> Answers:
    async def one() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        sent = 0
        try:
            writer.write(b"GET /_livez HTTP/1.1\r\nx-endless: ")
            while sent < 500 * MIB:
                writer.write(b"a" * 65536)
                sent += 65536
                await asyncio.wait_for(writer.drain(), 30.0)
                if reader.at_eof():
                    break
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()
        return f"ended after {sent / MIB:.0f} MiB" if sent < 500 * MIB else "took 500 MiB"

    return await together([one() for _ in range(4)])


async def waiters(target: Target) -> Answers:
    job = target.new_job(seconds=4.0)
    head = f"GET /jobs/{job} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nprefer: wait=60\r\n\r\n".encode()
    return await together([converse(target, head) for _ in range(2000)])


async def sleepers(target: Target) -> Answers:
    until = time.monotonic() + 6.0

    async def one() -> str:
        body = json.dumps({"seconds": max(0.0, until - time.monotonic())}).encode()
        head = f"POST /sleep HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntimeout: 60\r\ncontent-length: {len(body)}"
        return await converse(target, head.encode() + b"\r\n\r\n" + body)

    return await together([one() for _ in range(2000)])


async def submissions(target: Target) -> Answers:
    answers: Answers = collections.Counter()
    left = iter(range(10_000))

    async def client() -> None:
        for _ in left:
            answers[await exchange(target, "POST /narrow", b'{"seconds": 60}')] += 1

    await asyncio.gather(*(client() for _ in range(50)))
    return answers


async def idle_connections(target: Target) -> Answers:
    resource.prlimit(target.pid, resource.RLIMIT_NOFILE, (200, 200))
    socks: list[socket.socket] = []
    for _ in range(300):
        with contextlib.suppress(OSError):
            socks.append(socket.create_connection(("127.0.0.1", target.port), timeout=2.0))
        await asyncio.sleep(0.005)
    await asyncio.sleep(5.0)
    for sock in socks:
        sock.close()
    return collections.Counter({"connected": len(socks)})


HASH_BASE = 2**61 - 1
COLLIDING = b",".join(b"%d" % (HASH_BASE * n) for n in range(1, 100_000))

FLOODS: dict[str, Callable[[Target], Coroutine[Any, Any, Answers]]] = {
    "500 watchers that never read": watchers_that_never_read,
    "100 watchers of 2,000 events": watchers_of_many_events,
    "malformed body, 3 MB": lambda t: posts(t, "/take", body_of("integers", b'""', 3_000_000)),
    "malformed body, 16 MiB": lambda t: posts(t, "/take", body_of("integers", b'""', 16 * MIB)),
    "valid 16 MiB, integers (pydantic)": lambda t: posts(t, "/take", body_of("integers", b"0", 16 * MIB)),
    "valid 16 MiB, empty lists (pydantic)": lambda t: posts(t, "/take", body_of("anything", b"[]", 16 * MIB)),
    "valid 16 MiB, empty models (pydantic)": lambda t: posts(t, "/take", body_of("models", b"{}", 16 * MIB), 1),
    "valid 16 MiB, empty lists (msgspec)": lambda t: posts(t, "/take-structs", body_of("anything", b"[]", 16 * MIB)),
    "integers of one hash (pydantic)": lambda t: posts(t, "/take", b'{"distinct":[' + COLLIDING + b"]}"),
    "integers of one hash (msgspec)": lambda t: posts(t, "/take-structs", b'{"distinct":[' + COLLIDING + b"]}"),
    "500 slow headers": slow_headers,
    "4 endless header values": endless_headers,
    "2,000 waiters of one job": waiters,
    "2,000 sleepers that end at once": sleepers,
    "10,000 submissions at max_queue": submissions,
    "no descriptors left": idle_connections,
}


# --- measuring ---


def probe(port: int, stop: Any, worst: Any) -> None:
    """In a process of its own: the longest time until `/_livez` has answered, and how many probes got no 200."""
    while not stop.is_set():
        began = time.perf_counter()
        status = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60.0) as sock:
            sock.sendall(b"GET /_livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            status = sock.recv(65536).partition(b"\r\n")[0]
        worst[0] = max(worst[0], time.perf_counter() - began)
        worst[1] += b" 200 " not in status
        time.sleep(0.01)


@contextlib.contextmanager
def service(port: int, store: str) -> Iterator[Target]:
    command = [sys.executable, "-m", "benchmarks.services.floods", "--host", "127.0.0.1", "--port", str(port)]
    os.environ["FLOODS_STORE"] = store
    with running(command, core=None) as process:
        target = Target(port, process.pid)
        until = time.monotonic() + 60.0
        while True:
            with contextlib.suppress(OSError):
                target.ask("GET", "/_healtz")
                break
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"the service on port {port} does not answer")
            time.sleep(0.1)
        yield target


def lost(target: Target, jobs: list[str]) -> int:
    statuses = [json.loads(target.ask("GET", f"/jobs/{job}/status")[1]) for job in jobs]
    return sum(status["status"] not in ("executing", "succeeded") or status["attempt"] != 1 for status in statuses)


def measure(name: str, port: int, store: str) -> str:
    """A row of the table."""
    with service(port, store) as target, service(port + 1, store) as neighbour:
        jobs = [target.new_job(seconds=600.0) for _ in range(JOBS)]
        time.sleep(SETTLE_SECONDS)
        before = target.memory_bytes()
        stop: Any = multiprocessing.Event()
        worst: Any = multiprocessing.Array("d", 2)
        prober = multiprocessing.Process(target=probe, args=(port, stop, worst), daemon=True)
        prober.start()
        began = time.monotonic()
        try:
            answers = asyncio.run(FLOODS[name](target))
        finally:
            seconds = time.monotonic() - began
            time.sleep(SETTLE_SECONDS)
            stop.set()
            prober.join(70.0)
            prober.kill()
        told = ", ".join(f"{count} × {answer}" for answer, count in answers.most_common(4))
        sizes = (before, target.memory_bytes("VmHWM"), target.memory_bytes())
        memory = " / ".join(f"{size / 1e6:.0f}" for size in sizes)
        probes = f"{worst[0] * 1000:.0f}" + (f" ({worst[1]:.0f} failed)" if worst[1] else "")
        witness = target if store.startswith("memory:") else neighbour
        return f"| {name} | {told} | {seconds:.1f} | {probes} | {memory} | {lost(witness, jobs)} of {JOBS} |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floods", description=__doc__)
    parser.add_argument("--only", help="floods whose names hold one of these comma-separated texts")
    parser.add_argument("--store", help="the store's URL; an SQLite file of its own for each flood otherwise")
    parser.add_argument("--port", type=int, default=18700, help="the first of two ports")
    options = parser.parse_args()
    os.chdir(ROOT)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("| flood | answers | s | longest `/_livez`, ms | memory before / highest / after, MB | jobs lost |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in FLOODS:
        if options.only is None or any(text in name for text in options.only.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                store = options.store or f"sqlite:///{folder}/jobs.db"
                print(measure(name, options.port, store), flush=True)


if __name__ == "__main__":
    main()
