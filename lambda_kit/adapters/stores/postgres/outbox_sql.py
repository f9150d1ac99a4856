"""The statements of `PostgresJobStore` for what is not yet delivered to sinks. ``@`` stands for the schema."""
# ruff: noqa: S608 - what is put into the statements is our own: names of tables and columns, and conditions

__all__ = ["OutboxStatements"]

# An entry belongs to a job, or to one that has expired and is kept for sinks alone.
_ENTRIES = "@outbox AS o LEFT JOIN @jobs AS j ON j.number = o.job LEFT JOIN @retired AS r ON r.number = o.job"
_HOME = "coalesce(j.home, r.home)"
_IS_DUE = "(r.number IS NOT NULL OR o.after_seq < j.last_seq OR j.expires_at IS NOT NULL)"

# As `lambda_kit.core.ports.outbox.right_to_deliver`: $3 is the worker, $4 the time.
_IS_HOME_ALIVE = f"coalesce({_HOME} IN (SELECT worker_id FROM @workers WHERE alive_until > $4), false)"
_IS_AT_HOME = f"coalesce({_HOME} = $3 AND {_IS_HOME_ALIVE}, false)"
_IS_FREE = "(o.holder IS NULL OR o.holder = $3 OR o.leased_until <= $4)"
_MAY_BEGIN = f"{_IS_FREE} AND ({_HOME} = $3 OR NOT {_IS_HOME_ALIVE})"
_MAY_GO_ON = f"(o.holder = $3 AND o.leased_until > $4 OR {_MAY_BEGIN})"


class OutboxStatements:
    """The statements for one schema.

    Args:
        schema: Its name, quoted.
    """

    def __init__(self, schema: str) -> None:
        def statement(sql: str) -> str:
            return sql.replace("@", schema + ".")

        self.register_sink = statement(
            "INSERT INTO @sinks VALUES ($1, $2) ON CONFLICT (sink) DO UPDATE SET seen_at = excluded.seen_at"
        )
        self.undelivered = statement(
            f"SELECT coalesce(j.id, r.id) AS id, after_seq, o.job FROM {_ENTRIES}"
            f" WHERE sink = $1 AND {_IS_DUE} ORDER BY o.job LIMIT $2"
        )
        self.lease_undelivered = statement(f"""
            WITH waiting AS (
                SELECT o.job, coalesce(j.id, r.id) AS id, after_seq, {_IS_AT_HOME} AS is_at_home FROM {_ENTRIES}
                WHERE sink = $1 AND {_IS_DUE} AND {_MAY_BEGIN}
                ORDER BY o.job LIMIT $2
            ), leased AS (
                UPDATE @outbox AS o SET holder = $3, leased_until = $5 FROM waiting AS w
                WHERE o.sink = $1 AND o.job = w.job AND NOT is_at_home AND {_IS_FREE} RETURNING o.job
            )
            SELECT id, after_seq, job FROM waiting WHERE is_at_home OR job IN (SELECT job FROM leased) ORDER BY job
        """)
        self.hold = statement(f"""
            WITH entry AS (
                SELECT o.job, {_IS_AT_HOME} AS is_at_home FROM {_ENTRIES}
                WHERE sink = $1 AND o.job = $2 AND {_MAY_GO_ON}
            ), leased AS (
                UPDATE @outbox AS o SET holder = $3, leased_until = $5 FROM entry
                WHERE o.sink = $1 AND o.job = entry.job AND NOT is_at_home AND {_IS_FREE} RETURNING o.job
            )
            SELECT job FROM entry WHERE is_at_home UNION ALL SELECT job FROM leased
        """)
        self.part = statement("""
            SELECT record, last_seq, is_final, ARRAY(
                SELECT event FROM @events WHERE job = $2 AND seq > $3 ORDER BY seq LIMIT $4
            ) AS events
            FROM (
                SELECT record, last_seq, expires_at IS NOT NULL AS is_final FROM @jobs WHERE number = $2
                UNION ALL
                SELECT record, last_seq, true FROM @retired WHERE number = $2
            ) AS job WHERE EXISTS (SELECT FROM @outbox WHERE sink = $1 AND job = $2)
        """)
        self.result = statement(
            "SELECT result FROM @jobs WHERE number = $1 UNION ALL SELECT result FROM @retired WHERE number = $1"
        )
        # Where two sinks confirm the last of a job at once, each sees the other's entry: it is dropped when overdue.
        self.delivered = statement(f"""
            WITH done AS (
                DELETE FROM @outbox AS o WHERE sink = $1 AND job = $2 AND ($3::text IS NULL OR {_IS_FREE}) RETURNING job
            ), gone AS (
                DELETE FROM @retired WHERE number IN (SELECT job FROM done)
                    AND NOT EXISTS (SELECT FROM @outbox WHERE job = number AND sink <> $1) RETURNING number
            ), events AS (
                DELETE FROM @events WHERE job IN (SELECT number FROM gone)
            )
            SELECT job FROM done
        """)
        self.confirm = statement(
            "UPDATE @outbox AS o SET after_seq = greatest(after_seq, $5) WHERE sink = $1 AND job = $2"
            f" AND ($3::text IS NULL OR {_IS_FREE}) RETURNING job"
        )
        self.forget_delivered = statement("""
            WITH gone AS (
                DELETE FROM @retired AS r WHERE number = ANY ($1::bigint[])
                    AND NOT EXISTS (SELECT FROM @outbox WHERE job = number) RETURNING number
            )
            DELETE FROM @events USING gone WHERE job = number
        """)
        self.note_sinks = statement("UPDATE @sinks SET seen_at = $1 WHERE seen_at IS NULL")
        self.drop_silent = statement(f"""
            WITH silent AS (
                SELECT o.sink, o.job, coalesce(j.id, r.id) AS id FROM {_ENTRIES}
                WHERE sink IN (SELECT sink FROM @sinks WHERE seen_at <= $1) LIMIT $2
            )
            DELETE FROM @outbox AS o USING silent AS s WHERE o.sink = s.sink AND o.job = s.job
            RETURNING s.sink, s.job, s.id
        """)
        self.forget_silent = statement(
            "DELETE FROM @sinks AS s WHERE seen_at <= $1"
            " AND NOT EXISTS (SELECT FROM @outbox AS o WHERE o.sink = s.sink)"
        )
        self.drop_overdue = statement("""
            WITH gone AS (
                DELETE FROM @retired WHERE number IN (
                    SELECT number FROM @retired WHERE deliver_until <= $1 ORDER BY deliver_until LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) RETURNING number, id
            ), entries AS (
                DELETE FROM @outbox USING gone WHERE job = number RETURNING sink, job
            ), events AS (
                DELETE FROM @events USING gone WHERE job = number
            )
            SELECT id, sink FROM gone LEFT JOIN entries ON job = number ORDER BY number
        """)
        self.release_leases = statement("UPDATE @outbox SET holder = NULL WHERE holder = $1")
