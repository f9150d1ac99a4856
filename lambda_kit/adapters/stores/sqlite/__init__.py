"""`SqliteJobStore`."""

from lambda_kit.adapters.stores.sqlite.store import SqliteJobStore

__all__ = ["SqliteJobStore"]
