"""`PostgresJobStore`. Needs the extra ``postgres``."""

from lambda_kit.adapters.stores.postgres.store import PostgresJobStore

__all__ = ["PostgresJobStore"]
