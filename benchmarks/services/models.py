"""The requests and results that every contestant uses."""

from pydantic import BaseModel, Field

__all__ = [
    "DrainResult",
    "EchoRequest",
    "EchoResult",
    "HeldEchoRequest",
    "ReportRequest",
    "SleepRequest",
    "SleepResult",
    "StepsRequest",
]


class EchoRequest(BaseModel):
    """What to say."""

    message: str = Field(description="The message to echo back.")


class EchoResult(BaseModel):
    """What was said."""

    echo: str = Field(description="The echoed message.")


class SleepRequest(BaseModel):
    """How long to sleep."""

    seconds: float = Field(description="How long to sleep.", ge=0)
    token: str = Field("", description="Comes back in the result.")


class SleepResult(BaseModel):
    """How long it slept."""

    slept: float = Field(description="The seconds that were asked for.")
    token: str = Field(description="The token of the request.")


class HeldEchoRequest(EchoRequest):
    """What to say, and when."""

    hold_seconds: float = Field(0.0, description="How long to wait before.", ge=0)


class StepsRequest(EchoRequest):
    """What to say, and in how many steps."""

    steps: int = Field(0, description="How often to say how far it is.", ge=0)


class ReportRequest(BaseModel):
    """How much to report."""

    events: int = Field(1, description="How many events.", ge=1)


class DrainResult(BaseModel):
    """When it was over."""

    ended_at: float = Field(description="Seconds of the monotonic clock, which all processes of a machine share.")
