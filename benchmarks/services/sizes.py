"""What the tools under control and those who measure them have to agree on."""

__all__ = ["MAX_QUEUE", "TICK_SECONDS", "WORKERS"]

WORKERS = 2
"""Worker processes, of lambda_kit and of the bare pool. They share the server's core."""

MAX_QUEUE = 64
"""How many unfinished jobs the bounded tool may have: more than there are connections."""

TICK_SECONDS = 0.001
"""How often a listening tool looks whether it was cancelled."""
