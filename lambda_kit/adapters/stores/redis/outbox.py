"""The outbox of a `RedisJobStore`: what is not yet delivered to sinks, also of jobs that have expired."""

from lambda_kit.adapters.stores.redis import outbox_scripts as scripts
from lambda_kit.adapters.stores.redis.indexes import RedisIndexes
from lambda_kit.adapters.stores.redis.jobs import SMALL_BYTES, known_job, logged_event
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason

__all__ = ["RedisOutbox"]


class RedisOutbox(RedisIndexes):
    """The part of `RedisJobStore` that delivers. Arguments as there."""

    async def register_sink(self, sink: str) -> None:
        await self._run(scripts.REGISTER_SINK, sink, self._clock())

    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        now = self._clock()
        found = await self._run(scripts.UNDELIVERED, sink, now, limit, worker_id or "", repr(now + lease_seconds))
        return [Delivery(_job_id(key), int(after), int(number)) for key, after, number in found]

    async def read_delivery(
        self,
        sink: str,
        delivery: Delivery,
        *,
        limit: int = 100,
        worker_id: str | None = None,
        lease_seconds: float = 30.0,
    ) -> DeliveryPart | None:
        while True:
            now = self._clock()
            answer = await self._run(
                scripts.READ_DELIVERY,
                *(sink, delivery.job_id, str(delivery.number), now, worker_id or "", repr(now + lease_seconds)),
                *(max(delivery.after_seq, 0) + 1, limit, SMALL_BYTES),
            )
            if answer is None:
                return None
            key, state, entries, is_last, has_result, content = answer
            known = known_job(state)
            if known is None:
                return None
            if has_result and content is None:
                content = await self._session.bulk(b"HGET", self._session.key("job", key.decode()), b"b")
                if content is None:  # it has just expired, and has another key; or is gone
                    continue
            result = Payload(content, known.job.result_content_type or "") if has_result else None
            events = [logged_event(*entry) for entry in entries]
            return DeliveryPart(known.job, events, known.last_seq, bool(is_last), result)

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        return bool(
            await self._run(
                scripts.MARK_DELIVERED,
                *(sink, delivery.job_id, str(delivery.number), after_seq, "1" if is_complete else "0"),
                *(worker_id or "", self._clock()),
            )
        )

    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        now = self._clock()
        silent = await self._run(scripts.DROP_SILENT, now, now - silent_seconds, limit)
        overdue = await self._run(scripts.DROP_OVERDUE, now, limit)
        return [
            Dropped(sink.decode(), _job_id(key), reason)
            for found, reason in ((silent, DropReason.SINK_GONE), (overdue, DropReason.OVERDUE))
            for sink, key in found
        ]


def _job_id(key: bytes) -> str:
    """The id of the job that is kept under one."""
    return key.decode().partition("~")[0]
