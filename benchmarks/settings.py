"""How long, how often and how many: one frozen object, in a full and a quick edition."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The size of a run."""

    rounds: int
    """How often every contestant has its turn in the start-up scenario."""

    slices: int
    """How many slices of a second every contestant has of each load in the echo scenario."""

    mcp_slices: int
    """The same in the scenario of MCP, which has more loads."""

    burst_rounds: int
    """The same for the burst of sleeping jobs, which takes minutes with the original."""

    warmup_seconds: int
    """How long the same load is given before it is measured."""

    connections: tuple[int, ...]
    """The numbers of connections of the echo scenario."""

    jobs: int
    """How many sleeping jobs are submitted in the burst."""

    sleep_seconds: float
    """How long each of those jobs sleeps."""

    submit_connections: int
    """On how many connections the burst is submitted, each one job after the other."""

    sample_size: int
    """How many jobs of the burst have their results fetched and compared."""

    deadline_seconds: float
    """How long the burst may take to be accepted, and again to be finished, before it counts as failed."""

    control_rounds: int
    """The same as `rounds` for process, limits, callers, cancel, events, drain, stores and growth."""

    control_seconds: int
    """How long each load lasts there; whole seconds, at least 2."""

    cancels: int
    """How many jobs that listen are cancelled, of each kind."""

    deaf_cancels: int
    """How many jobs that do not listen are cancelled; each takes the grace time."""

    left_jobs: int
    """How many jobs a dead process has left in a store."""

    kept_jobs: int
    """How many finished jobs are kept, where many are."""

    tools: int
    """How many tools a server has, where they are many."""

    polls: int
    """How many requests wait for a job, where many do."""

    is_smoke: bool = False
    """Whether the numbers only show that everything works."""


FULL = Settings(
    rounds=5,
    slices=15,
    mcp_slices=6,
    burst_rounds=2,
    warmup_seconds=1,
    connections=(1, 32),
    jobs=2000,
    sleep_seconds=8.0,
    submit_connections=32,
    sample_size=50,
    deadline_seconds=240.0,
    control_rounds=2,
    control_seconds=2,
    cancels=50,
    deaf_cancels=2,
    left_jobs=10_000,
    kept_jobs=100_000,
    tools=300,
    polls=5_000,
)

QUICK = Settings(
    rounds=1,
    slices=1,
    mcp_slices=1,
    burst_rounds=1,
    warmup_seconds=0,
    connections=(1, 32),
    jobs=100,
    sleep_seconds=2.0,
    submit_connections=32,
    sample_size=10,
    deadline_seconds=60.0,
    control_rounds=1,
    control_seconds=2,
    cancels=5,
    deaf_cancels=1,
    left_jobs=1_000,
    kept_jobs=2_000,
    tools=50,
    polls=200,
    is_smoke=True,
)
