"""What is measured. A new scenario is a class like these and an entry in `SCENARIOS`."""

from benchmarks.scenarios.base import Bench, Scenario, SideBySide
from benchmarks.scenarios.burst import BurstScenario
from benchmarks.scenarios.callers import CallersScenario
from benchmarks.scenarios.cancel import CancelScenario
from benchmarks.scenarios.drain import DrainScenario
from benchmarks.scenarios.echo import EchoScenario
from benchmarks.scenarios.events import EventsScenario
from benchmarks.scenarios.growth import GrowthScenario
from benchmarks.scenarios.limits import LimitsScenario
from benchmarks.scenarios.mcp import McpScenario
from benchmarks.scenarios.process import ProcessScenario
from benchmarks.scenarios.recovery import RecoveryScenario
from benchmarks.scenarios.startup import StartupScenario
from benchmarks.scenarios.stores import StoresScenario

__all__ = ["SCENARIOS", "Bench", "Scenario", "SideBySide"]

SCENARIOS: tuple[Scenario | SideBySide, ...] = (
    EchoScenario(),
    BurstScenario(),
    StartupScenario(),
    ProcessScenario(),
    LimitsScenario(),
    CallersScenario(),
    CancelScenario(),
    EventsScenario(),
    DrainScenario(),
    StoresScenario(),
    RecoveryScenario(),
    GrowthScenario(),
    McpScenario(),
)
