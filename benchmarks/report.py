"""The results as a Markdown page."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contestants import OURS, Contestant
from benchmarks.environments import versions
from benchmarks.goals import goals
from benchmarks.results import Results, Row
from benchmarks.scenarios import Bench
from benchmarks.scenarios.growth import growths

__all__ = ["render"]

_NOTES = """\
- Each cell is the median of the rounds (of echo: the slices), with the lowest and the highest in brackets. A ratio is
  the median of the ratios round by round: the contestants take turns, so both sides of a ratio met the same machine.
- All run on uvicorn with uvloop and httptools, all output goes to `/dev/null`. **original** is what its users
  get: an access log and lines at INFO for each job, as its `logging_init` has it. **original-quiet** has no
  access log, like all the others.
- The processor time per job tells most where the machine was not idle: others may slow a server down, but not
  add to it by much.
- An echo counts only as 200 with exactly the right body. For the burst, jobs are submitted with
  `Prefer: respond-async`, on each connection one after the other.
- Memory per waiting job is the growth of the server's resident memory, from after a warm-up to the moment
  when most jobs slept at once, by their number. A server that accepts slowly has fewer of them at
  once: its first jobs wake before its last are accepted.
- The health probe asks every 10 ms, one request at a time, from a process of its own, on the core of the
  submitter but ahead of it. A server that stalls has one slow request, not many: look at the maximum.
- Worker processes share the one core of their server, the same for **pool**, which has as many. Its jobs are the same
  bytes to validate and to encode, with neither HTTP nor a record, an event, a cancel or a limit of their own.
- Refused and done jobs, and jobs with and without a time limit, are of one server in the same minute.
- Callers: four servers on the same core, loaded one after the other in slices of a second; whichever is not asked is
  idle. The token is verified once, then known.
- A cancel is timed from the first DELETE to the answer that the job is cancelled (200); while a job winds down (202),
  DELETE is sent again at once. A deaf job has the 2 s of grace that every cancel gives before it kills: they are
  in the number. Such jobs are few, so its p95 is its slowest.
- Events are timed from the request that lets the job report to the end of the last watcher's stream.
  Each watcher must have seen each event once, in order.
- Stores: one server after the other, each with its jobs elsewhere. Redis and PostgreSQL run as they were found, on any
  core, so they may share one with the server or the load; the SQLite file is in the folder for
  temporary files, whose disk counts (`$TMPDIR` names another).
- Recovery is timed from the start of the service file to the answer with the result of the oldest job. The process that
  left the jobs ran on the same machine and has exited: a successor elsewhere waits for its lease to run out (10 s).
- Growth: two servers on the same core, one with few, one with many; whichever is not asked is idle. Jobs are kept in
  memory, all of one tool, whose `job_cache_size` is the number. The long polls wait for one job and are answered by
  nobody meanwhile; health is asked for as in the burst, while nothing but them is there.
- MCP: requests have an id of their own, and an answer counts only with status 200, the echo in it, and, with a progress
  token, at least one notification. All servers have their defaults; **original** writes its access log. The load is
  `benchmarks.clients.mcp`, whatever else is loaded by `wrk`.
- After a drain the process must exit with 0. Its time to exit has the teardown of the interpreter in it.
"""


def render(bench: Bench, contestants: Sequence[Contestant], results: Results) -> str:
    """The whole page."""
    parts = [
        "# Results",
        "Written by `python -m benchmarks`; see [README.md](README.md).",
        *(["**A smoke run: these numbers show that everything works, no more.**"] if bench.settings.is_smoke else []),
        _facts(bench, contestants),
        "## Goals",
        _goals(bench, results),
        "## Measured",
        _table(bench, contestants, results),
        "## Growth",
        _growth(bench, results),
        "## How to read this",
        _NOTES.rstrip(),
    ]
    if bench.notes:
        parts += ["## Left out", "\n".join(f"- {' '.join(note.split())}" for note in bench.notes)]
    if results.problems:
        parts += ["## Failures", "\n".join(f"- {' '.join(problem.split())}" for problem in results.problems)]
    return "\n\n".join(parts) + "\n"


def _facts(bench: Bench, contestants: Sequence[Contestant]) -> str:
    settings = bench.settings
    control = f"{settings.control_seconds} s each, {settings.control_rounds} rounds"
    burst = f"{settings.jobs:,} jobs of {settings.sleep_seconds:g} s on {settings.submit_connections} connections"
    slices = f"{settings.slices} slices of 1 s each (MCP: {settings.mcp_slices})"
    lines = [
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- Machine: {_cpu()}, {bench.cores.available} cores, {platform.system()} {platform.release()}",
        f"- Cores: {bench.cores}",
        f"- Load: {bench.load.title}; echo: {slices}, all servers at once and by turns",
        f"- Burst: {burst}, {settings.burst_rounds} rounds",
        f"- Jobs under control (worker processes, limits, callers, cancels, events, drain, stores, growth): {control}",
        f"- Load average of the machine before: {bench.load_average:.2f}; well below 1 on an idle one",
    ]
    lines += [f"- **{contestant.name}**: {contestant.title}" for contestant in contestants]
    for python in dict.fromkeys(bench.pythons[contestant.name] for contestant in contestants):
        users = ", ".join(c.name for c in contestants if bench.pythons[c.name] == python)
        lines.append(f"- Versions of {users}: {versions(python)}")
    return "\n".join(lines)


def _cpu() -> str:
    """The model of the processor, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _goals(bench: Bench, results: Results) -> str:
    words = {True: "met", False: "**missed**", None: "-"}
    rows = []
    for goal in goals(bench.settings):
        measured, met = goal.judge(results)
        rows.append([goal.title, measured, words[met]])
    return _markdown(["goal", "measured", ""], rows)


def _table(bench: Bench, contestants: Sequence[Contestant], results: Results) -> str:
    others = [c for c in contestants if c is not OURS]
    elsewhere = {row.key for growth, _, _ in growths(bench.settings) for row in (growth.few, growth.many)}
    rows = []
    for row in results.rows.values():
        if row.key in elsewhere:
            continue
        cells = [_cell(row, results.of(row.key, c.name), results.median(row.key, c.name)) for c in contestants]
        ratios = [results.ratio(row.key, OURS.name, other.name) for other in others]
        shown = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        rows.append([row.title, row.unit, *cells, *shown])
    return _markdown(["", "unit", *(c.name for c in contestants), *(f"ours/{c.name}" for c in others)], rows)


def _growth(bench: Bench, results: Results) -> str:
    """What ours does with few of something beside what it does with many."""
    rows = []
    for growth, few, many in growths(bench.settings):
        cells = [
            _cell(row, results.of(row.key, OURS.name), results.median(row.key, OURS.name))
            for row in (growth.few, growth.many)
        ]
        ratio = results.ratio(growth.many.key, OURS.name, OURS.name, other_key=growth.few.key)
        # of what may be next to nothing, a ratio says nothing
        shown = "-" if ratio is None or growth.is_difference else f"{ratio:.2f}"
        rows.append([growth.title, growth.unit, few, cells[0], many, cells[1], shown])
    return _markdown(["of ours", "unit", "few", "with few", "many", "with many", "many/few"], rows)


def _cell(row: Row, values: list[float], middle: float | None) -> str:
    if middle is None:
        return "-"
    text = f"{middle:,.{row.digits}f}"
    if len(values) > 1:
        text += f" ({min(values):,.{row.digits}f} to {max(values):,.{row.digits}f})"
    return text


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that lines up as plain text too: its first column to the left, all others to the right."""
    widths = [max(3, *(len(line[i]) for line in (head, *rows))) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * (width - 1) + ":") if i else "-" * width for i, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])
