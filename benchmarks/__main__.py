"""The command: `python -m benchmarks` measures everything, `--quick` shows in a minute that it works."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, Contestant, python_of
from benchmarks.errors import BenchmarkError, ContestantError
from benchmarks.load import choose_load
from benchmarks.processes import choose_cores, keep_to
from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, Bench, Scenario, SideBySide
from benchmarks.settings import FULL, QUICK

__all__ = ["main"]

_RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def _names(known: Sequence[str]) -> str:
    return f"comma-separated, of: {', '.join(known)}"


def _chosen(parser: argparse.ArgumentParser, text: str | None, known: Sequence[str]) -> list[str]:
    names = list(known) if text is None else text.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; writes no file unless --output is given")
    parser.add_argument("--rounds", type=int, help="rounds of the start-up scenario, and a third of the slices of echo")
    parser.add_argument("--burst-rounds", type=int, help="rounds of the burst of sleeping jobs")
    parser.add_argument("--control-rounds", type=int, help="rounds of the scenarios of jobs under control, and stores")
    parser.add_argument("--only", help=f"contestants, {_names([c.name for c in CONTESTANTS])}")
    parser.add_argument("--scenarios", help=_names([s.name for s in SCENARIOS]))
    parser.add_argument("--load", choices=("auto", "wrk", "builtin"), default="auto", help="the load generator")
    parser.add_argument("--output", type=Path, help="where the page is written (benchmarks/RESULTS.md)")
    return parser


def _measure(bench: Bench, scenario: Scenario, contestants: Sequence[Contestant], results: Results) -> None:
    """All rounds of a scenario: each time every contestant once, and each time another one first."""
    taking_part = [c for c in contestants if scenario.suits(c)]
    rounds = scenario.rounds(bench.settings)
    for number in range(rounds):
        shift = number % max(1, len(taking_part))
        for contestant in taking_part[shift:] + taking_part[:shift]:
            sys.stderr.write(f"{scenario.name}, round {number + 1} of {rounds}: {contestant.name} … ")
            sys.stderr.flush()
            begin = time.monotonic()
            try:
                for measurement in scenario.measure(bench, contestant):
                    results.add(contestant.name, number, [measurement])
            except ContestantError as error:
                results.problems.append(f"{scenario.name}, round {number + 1}: {error}")
                sys.stderr.write(f"FAILED: {error} ")
            sys.stderr.write(f"{time.monotonic() - begin:.1f} s\n")


def _measure_together(bench: Bench, scenario: SideBySide, contestants: Sequence[Contestant], results: Results) -> None:
    """All turns of a scenario whose contestants run at once."""
    begin = time.monotonic()
    sys.stderr.write(f"{scenario.name}: {', '.join(c.name for c in contestants)} by turns … ")
    sys.stderr.flush()
    for contestant, number, found in scenario.measure_together(bench, contestants):
        if isinstance(found, ContestantError):
            results.problems.append(f"{scenario.name}, turn {number + 1}: {found}")
            sys.stderr.write(f"FAILED: {found} ")
        else:
            results.add(contestant.name, number, found)
    sys.stderr.write(f"{time.monotonic() - begin:.1f} s\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark: 0 when all was measured, 1 when a contestant failed, 2 when it can't be set up."""
    # Ended by a signal, the `with` blocks must still end the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = _parser()
    args = parser.parse_args(argv)
    names = _chosen(parser, args.only, [c.name for c in CONTESTANTS])
    contestants = tuple(c for c in CONTESTANTS if c.name in names)
    scenario_names = _chosen(parser, args.scenarios, [s.name for s in SCENARIOS])
    settings = QUICK if args.quick else FULL
    settings = replace(
        settings,
        rounds=args.rounds or settings.rounds,
        slices=3 * args.rounds if args.rounds else settings.slices,
        mcp_slices=args.rounds or settings.mcp_slices,
        burst_rounds=args.burst_rounds or settings.burst_rounds,
        control_rounds=args.control_rounds or settings.control_rounds,
    )
    cores = choose_cores()
    try:
        load = choose_load(args.load)
        load_average = os.getloadavg()[0]
        pythons = python_of(contestants)
        bench = Bench(settings=settings, cores=cores, load=load, pythons=pythons, load_average=load_average)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    keep_to(cores.load)
    results = Results()
    for scenario in SCENARIOS:
        if scenario.name not in scenario_names:
            continue
        if isinstance(scenario, SideBySide):
            _measure_together(bench, scenario, [c for c in contestants if scenario.suits(c)], results)
        else:
            _measure(bench, scenario, contestants, results)
    page = render(bench, contestants, results)
    print(page)
    output = args.output or (None if args.quick else _RESULTS)
    if output is not None:
        output.write_text(page)
        sys.stderr.write(f"written to {os.path.relpath(output)}\n")
    return 1 if results.problems else 0


if __name__ == "__main__":
    sys.exit(main())
