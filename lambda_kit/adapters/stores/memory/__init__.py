"""`MemoryJobStore`."""

from lambda_kit.adapters.stores.memory.store import MemoryJobStore

__all__ = ["MemoryJobStore"]
