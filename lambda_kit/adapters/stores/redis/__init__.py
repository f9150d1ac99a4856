"""`RedisJobStore`. Needs the extra ``redis``."""

from lambda_kit.adapters.stores.redis import RedisJobStore

__all__ = ["RedisJobStore"]
