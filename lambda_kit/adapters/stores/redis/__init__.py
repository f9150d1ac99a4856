"""`RedisJobStore`. Needs the extra ``redis``."""

from lambda_kit.adapters.stores.redis.store import RedisJobStore

__all__ = ["RedisJobStore"]
