"""The statements of `PostgresJobStore`. ``@`` stands for the schema."""

from lambda_kit.core.ports.token_buckets import TOLERANCE

__all__ = ["Statements"]

_STATE = (
    "j.number, j.version, j.record, j.lease_expires_at, j.assigned_worker, j.last_seq, j.event_count, j.batch_token,"
    " j.batch"
)

# Columns are arrays, with an entry for each job; the events say by `n` which of these they belong to.
_CREATE = """
WITH {gate} given AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
        $9::double precision[], $10::bigint[], $11::bigint[], $12::bytea[], $13::text[], $14::bytea[], $15::bytea[]
    ) WITH ORDINALITY AS given (
        id, idempotency_key, tool, status, assigned_worker, home, principal, lease_token, lease_expires_at,
        last_seq, event_count, record, request_type, request, share, n
    )
), new AS (
    INSERT INTO @jobs (
        id, idempotency_key, tool, status, assigned_worker, home, principal, lease_token, lease_expires_at,
        last_seq, event_count, record, request_type, request, share, cancel_requested, batch_token, batch
    )
    SELECT id, idempotency_key, tool, status, assigned_worker, home, principal, lease_token, lease_expires_at,
        last_seq, event_count, record, request_type, request, share, false, 0, 0
    FROM given {is_open} ORDER BY n
    ON CONFLICT DO NOTHING
    RETURNING number, id
), event AS (
    INSERT INTO @events
    SELECT number, seq, event
    FROM unnest($16::bigint[], $17::bigint[], $18::bytea[]) AS log (n, seq, event)
        JOIN given USING (n) JOIN new USING (id)
), delivery AS (
    INSERT INTO @outbox (sink, job) SELECT sink, number FROM @sinks, new
)
SELECT {answer}
"""
_GATE = "gate AS MATERIALIZED (SELECT @admits($19, $20, $21) AS is_open),"
_GATE_OF_SHARE = "gate AS MATERIALIZED (SELECT @admits_of_share($19, $20, $21, $22, $23) AS verdict),"

# A row is changed if it is as it was read; nothing else in the statement is done for it if it is not. So what the
# statement sees of its log is what was there when the row was read.
_WRITE = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::double precision[], $9::double precision[], $10::boolean[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::bigint[], $15::bigint[], $16::bytea[]
    ) WITH ORDINALITY AS given (
        number, version, record, status, assigned_worker, home, lease_token, lease_expires_at, expires_at,
        cancel_requested, last_seq, event_count, batch_token, batch, excess, result, n
    )
), changed AS (
    UPDATE @jobs AS j SET version = j.version + 1, record = g.record, status = g.status,
        assigned_worker = g.assigned_worker, home = g.home, lease_token = g.lease_token,
        lease_expires_at = g.lease_expires_at,
        expires_at = g.expires_at, cancel_requested = g.cancel_requested, last_seq = g.last_seq,
        event_count = g.event_count, batch_token = g.batch_token, batch = g.batch {bodies}
    FROM given AS g WHERE j.number = g.number AND j.version = g.version
    RETURNING j.number, g.n, g.excess {answer}
), trimmed AS (
    DELETE FROM @events AS e USING changed AS c, LATERAL (
        SELECT seq FROM @events WHERE job = c.number ORDER BY seq LIMIT c.excess
    ) AS oldest
    WHERE c.excess > 0 AND e.job = c.number AND e.seq = oldest.seq
), event AS (
    INSERT INTO @events
    SELECT number, seq, event
    FROM unnest($17::bigint[], $18::bigint[], $19::bytea[]) AS log (n, seq, event) JOIN changed USING (n)
)
SELECT * FROM changed
"""

_LIST = """
SELECT number, record, lease_expires_at, assigned_worker FROM @jobs
WHERE number < $1 AND (expires_at > $2) IS NOT FALSE AND ($3::text IS NULL OR tool = $3)
    AND (cardinality($4::text[]) = 0 OR status = ANY ($4)) {principal}
ORDER BY number DESC LIMIT $5
"""

# As `token_buckets.take`. The time is that after the wait for the row: it goes on from one caller to the next.
_TAKE_ONE = """
INSERT INTO @buckets AS b (name, used, at, full_at, is_taken)
SELECT $1::bytea, 1, t, t + 1 / $2::double precision, true
FROM (SELECT coalesce($4::double precision, @now) AS t) AS clock
ON CONFLICT (name) DO UPDATE SET (used, at, full_at, is_taken) = (
    SELECT missing, t, t + missing / $2::double precision, is_open FROM (
        SELECT t, is_open, leaked + is_open::int AS missing FROM (
            SELECT t, leaked, leaked <= $3::double precision - 1 + @tolerance AS is_open FROM (
                SELECT t, least(greatest(b.used - greatest(t - b.at, 0) * $2::double precision, 0),
                    $3::double precision + 1) AS leaked
                FROM (SELECT coalesce($4::double precision, @now) AS t) AS clock
            ) AS bucket
        ) AS state
    ) AS next
)
RETURNING is_taken, $3::double precision - used AS remaining
"""

_NOW = "extract(epoch FROM clock_timestamp())::double precision"

_FORGET = """), events AS (
    DELETE FROM @events USING gone WHERE job = number
), deliveries AS (
    DELETE FROM @outbox USING gone WHERE job = number
)
SELECT count(*) FROM gone
"""


class Statements:
    """The statements for one schema.

    Args:
        schema: Its name, quoted.
    """

    def __init__(self, schema: str) -> None:
        def statement(sql: str) -> str:
            return (
                sql.replace("@state", _STATE)
                .replace("@tolerance", str(TOLERANCE))
                .replace("@now", _NOW)
                .replace("@forget", _FORGET)
                .replace("@", schema + ".")
            )

        self.create = statement(_CREATE.format(gate="", is_open="", answer="id, number FROM new"))
        self.create_gated = statement(
            _CREATE.format(
                gate=_GATE,
                is_open=", gate WHERE is_open",
                answer="CASE WHEN is_open THEN 'open' WHEN is_open IS NULL THEN 'near' ELSE 'tool' END AS verdict,"
                " (SELECT number FROM new) AS number FROM gate",
            )
        )
        self.create_in_share = statement(
            _CREATE.format(
                gate=_GATE_OF_SHARE,
                is_open=", gate WHERE verdict = 'open'",
                answer="verdict, (SELECT number FROM new) AS number FROM gate",
            )
        )
        self.take_token = statement(_TAKE_ONE)
        self.forget_buckets = statement("DELETE FROM @buckets WHERE full_at <= $1")
        self.change = statement(_WRITE.format(bodies="", answer=""))
        self.claim = statement(_WRITE.format(bodies="", answer=", j.request_type, j.request"))
        self.end = statement(
            _WRITE.format(bodies=", request_type = NULL, request = NULL, result = g.result", answer="")
        )
        self.read = statement("SELECT @state FROM @jobs AS j WHERE id = $1 AND (expires_at > $2) IS NOT FALSE")
        self.read_by_key = statement(
            "SELECT @state FROM @jobs AS j WHERE idempotency_key = $1 AND (expires_at > $2) IS NOT FALSE"
        )
        self.read_conflict = statement("""
            SELECT @state FROM (
                SELECT 1 AS choice, * FROM @jobs WHERE id = $1
                UNION ALL
                SELECT 2, * FROM @jobs WHERE idempotency_key = $2
            ) AS j WHERE (expires_at > $3) IS NOT FALSE ORDER BY choice LIMIT 1
        """)
        self.request = statement("SELECT version, request_type, request FROM @jobs WHERE number = $1")
        self.result = statement(
            "SELECT record, result FROM @jobs WHERE id = $1 AND result IS NOT NULL AND (expires_at > $2) IS NOT FALSE"
        )
        self.forget_expired = statement("""
            WITH gone AS (
                DELETE FROM @jobs WHERE expires_at <= $3 AND number IN (
                    SELECT number FROM @jobs WHERE id = $1
                    UNION ALL
                    SELECT number FROM @jobs WHERE idempotency_key = $2
                ) AND NOT EXISTS (SELECT FROM @outbox WHERE job = number) RETURNING number @forget
        """)
        self.find_expired = statement("""
            SELECT number, record FROM @jobs WHERE expires_at <= $3 AND number IN (
                SELECT number FROM @jobs WHERE id = $1
                UNION ALL
                SELECT number FROM @jobs WHERE idempotency_key = $2
            )
        """)
        self.purge = statement(
            "WITH gone AS (DELETE FROM @jobs WHERE number IN (SELECT number FROM @jobs WHERE expires_at <= $1"
            " AND NOT EXISTS (SELECT FROM @outbox WHERE job = number)"
            " ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING number @forget"
        )
        self.find_undelivered = statement(
            "SELECT number, record FROM @jobs WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"
        )
        self.retire = statement("""
            WITH given AS MATERIALIZED (
                SELECT * FROM unnest($1::bigint[], $2::double precision[]) AS given (number, deliver_until)
            ), gone AS (
                DELETE FROM @jobs AS j USING given AS g
                WHERE j.number = g.number AND EXISTS (SELECT FROM @outbox WHERE job = j.number)
                RETURNING j.number, j.id, j.home, j.last_seq, j.record, j.result, g.deliver_until
            ), kept AS (
                INSERT INTO @retired SELECT * FROM gone
            )
            SELECT count(*) FROM gone
        """)
        self.renew = statement("""
            WITH held AS (
                SELECT number FROM @jobs AS j JOIN unnest($1::text[], $2::bigint[]) AS lease (id, token)
                    ON j.id = lease.id AND j.lease_token = lease.token
                WHERE j.status = 'executing' ORDER BY number FOR UPDATE OF j
            )
            UPDATE @jobs AS j SET lease_expires_at = $3, version = version + 1 FROM held
            WHERE j.number = held.number RETURNING j.id, j.lease_token, j.cancel_requested, j.version
        """)
        self.overdue = statement(
            "SELECT @state FROM @jobs AS j WHERE status = 'executing' AND lease_expires_at <= $1"
            " ORDER BY number LIMIT $2"
        )
        self.now = statement("SELECT @now")
        self.make_caller_key = statement("INSERT INTO @secrets VALUES ('callers', $1) ON CONFLICT DO NOTHING")
        self.caller_key = statement("SELECT value FROM @secrets WHERE name = 'callers'")
        self.heartbeat = statement(
            "INSERT INTO @workers VALUES ($1, $2)"
            " ON CONFLICT (worker_id) DO UPDATE SET alive_until = excluded.alive_until RETURNING @now"
        )
        self.workers = statement("SELECT worker_id FROM @workers")
        self.forget_workers = statement("DELETE FROM @workers WHERE alive_until <= $1")
        self.expire_worker = statement("""
            WITH dead AS (
                DELETE FROM @workers WHERE worker_id = $1
            ), places AS (
                DELETE FROM @slots WHERE starts_with(holder, $1 || ' ')
            ), held AS (
                SELECT number FROM @jobs WHERE status = 'executing' AND assigned_worker = $1 ORDER BY number FOR UPDATE
            )
            UPDATE @jobs AS j SET lease_expires_at = $2, version = version + 1 FROM held WHERE j.number = held.number
        """)
        self.adopt = statement("""
            WITH orphans AS (
                SELECT number FROM @jobs AS j
                WHERE status = 'pending' AND tool = ANY ($2::text[]) AND (
                    assigned_worker IS NULL
                    OR assigned_worker <> $1
                    AND assigned_worker NOT IN (SELECT worker_id FROM @workers WHERE alive_until > $3)
                ) AND (principal = ANY ($5::text[])) IS NOT TRUE
                ORDER BY number LIMIT $4 FOR UPDATE OF j SKIP LOCKED
            )
            UPDATE @jobs AS j SET assigned_worker = $1, version = version + 1
            FROM orphans WHERE j.number = orphans.number
            RETURNING @state
        """)
        self.list = statement(_LIST.format(principal=""))
        self.list_of_principal = statement(_LIST.format(principal="AND principal = $6"))
        self.counts = statement(
            "SELECT tool, status, count(*) FROM @jobs WHERE (expires_at > $1) IS NOT FALSE GROUP BY tool, status"
        )
        self.positions = statement("""
            SELECT id, place FROM (
                SELECT id, row_number() OVER (PARTITION BY tool ORDER BY number) AS place FROM @jobs
                WHERE status = 'pending' AND tool IN (SELECT tool FROM @jobs WHERE id = ANY ($1::text[]))
            ) AS queue WHERE id = ANY ($1)
        """)
        self.page = statement("""
            SELECT last_seq, status, event FROM @jobs AS j
            LEFT JOIN LATERAL (
                SELECT seq, event FROM @events WHERE job = j.number AND seq > $2 ORDER BY seq LIMIT $3
            ) AS e ON true
            WHERE id = $1 AND (expires_at > $4) IS NOT FALSE ORDER BY seq
        """)
        self.acquire_slot = statement("SELECT @acquire_slot($1, $2, $3, $4, $5)")
        self.release_slot = statement("DELETE FROM @slots WHERE name = $1 AND holder = $2")
