"""The outbox of a `PostgresJobStore`: what is not yet delivered to sinks, also of jobs that have expired."""

from abc import ABC
from typing import TYPE_CHECKING

from lambda_kit.adapters.stores.postgres.outbox_sql import OutboxStatements
from lambda_kit.adapters.stores.postgres.rows import UNKNOWN_SIZE, Known
from lambda_kit.core.model.job import JobStatus, Payload
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason
from lambda_kit.core.ports.store_base import JobStoreBase
from lambda_kit.core.ports.store_records import decode_event, decode_job

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database

__all__ = ["PostgresOutbox"]


class PostgresOutbox(JobStoreBase[Known], ABC):
    """The part of `PostgresJobStore` that delivers."""

    _database: "Database"
    _outbox_sql: OutboxStatements

    async def register_sink(self, sink: str) -> None:
        await self._database.rows(self._outbox_sql.register_sink, sink, self._clock())

    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        sql = self._outbox_sql
        if worker_id is None:
            rows = await self._database.rows(sql.undelivered, sink, limit)
        else:
            now = self._clock()
            rows = await self._database.rows(sql.lease_undelivered, sink, limit, worker_id, now, now + lease_seconds)
        return [Delivery(row["id"], row["after_seq"], row["job"]) for row in rows]

    async def read_delivery(
        self,
        sink: str,
        delivery: Delivery,
        *,
        limit: int = 100,
        worker_id: str | None = None,
        lease_seconds: float = 30.0,
    ) -> DeliveryPart | None:
        sql, number = self._outbox_sql, delivery.number
        if worker_id is not None:
            now = self._clock()
            if await self._database.row(sql.hold, sink, number, worker_id, now, now + lease_seconds) is None:
                return None
        row = await self._database.row(sql.part, sink, number, delivery.after_seq, limit)
        if row is None:
            return None
        job, last_seq = decode_job(row["record"]), row["last_seq"]
        events = [decode_event(event) for event in row["events"]]
        is_last = row["is_final"] and (not events or events[-1].seq == last_seq)
        result: Payload | None = None
        if is_last and job.status is JobStatus.SUCCEEDED:
            kept = await self._database.row(sql.result, number, body_size=UNKNOWN_SIZE)
            if kept is None or kept["result"] is None:  # it was forgotten meanwhile
                return None
            result = Payload(kept["result"], job.result_content_type or "")
        return DeliveryPart(job, events, last_seq, is_last, result)

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        sql, values = self._outbox_sql, (sink, delivery.number, worker_id, self._clock())
        if is_complete:
            return await self._database.row(sql.delivered, *values) is not None
        return await self._database.row(sql.confirm, *values, after_seq) is not None

    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        sql, now = self._outbox_sql, self._clock()
        await self._database.rows(sql.note_sinks, now)  # those that an older version has registered
        silent = await self._database.rows(sql.drop_silent, now - silent_seconds, limit)
        if len(silent) < limit:
            await self._database.rows(sql.forget_silent, now - silent_seconds)
        if silent:
            await self._database.rows(sql.forget_delivered, [row["job"] for row in silent])
        dropped = [Dropped(row["sink"], row["id"], DropReason.SINK_GONE) for row in silent]
        while len(dropped) < limit:
            overdue = await self._database.rows(sql.drop_overdue, now, limit)
            # one without a sink was confirmed by the last one in the moment in which it expired
            dropped += [Dropped(row["sink"], row["id"], DropReason.OVERDUE) for row in overdue if row["sink"]]
            if len({row["id"] for row in overdue}) < limit:
                break
        return dropped
