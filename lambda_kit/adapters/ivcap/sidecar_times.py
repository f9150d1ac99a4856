"""`SidecarTimes`: how patient the deliveries to the sidecar are."""

import msgspec

__all__ = ["SidecarTimes"]


class SidecarTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses and bounds of the deliveries to the sidecar, in seconds. Shorter ones are for tests."""

    connect: float = 10.0
    """How long it may take to get a connection."""
    answer: float = 30.0
    """How long the sidecar may take to answer. A large result has a second more for each megabyte."""
    event: float = 30.0
    """For how long an event is tried again that is answered by 5xx, 408 or 429; once the job has ended, all of its
    events together."""
    stop: float = 3.0
    """The same, and how long an answer to an event may take, while a service stops that keeps its jobs in memory: then
    nothing is left that could be delivered later."""
    first_pause: float = 0.5
    """The first pause before another try; each one is twice as long as the one before, less up to half of it."""
    longest_pause: float = 300.0
    """The longest pause, whatever ``Retry-After`` says."""
