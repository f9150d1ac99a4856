"""The tables of `PostgresJobStore`. ``@`` stands for the schema."""

__all__ = ["MIGRATIONS", "OLDEST_VERSION"]

OLDEST_VERSION = 2
"""What the first migration makes of an empty schema. Version 1 had other columns, and can't be read."""

# Each entry brings the schema from the version before to the next one; entries are never changed, only added.
MIGRATIONS = (
    """
CREATE TABLE @jobs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    idempotency_key text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    record bytea NOT NULL,
    tool text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    assigned_worker text COLLATE "C",
    home text COLLATE "C",
    principal text COLLATE "C",
    lease_token bigint NOT NULL,
    lease_expires_at double precision,
    expires_at double precision,
    cancel_requested boolean NOT NULL,
    last_seq bigint NOT NULL,
    event_count bigint NOT NULL,
    batch_token bigint NOT NULL,
    batch bigint NOT NULL,
    request_type text,
    request bytea,
    result bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- Bodies are mostly compressed or small: they are kept as they are.
ALTER TABLE @jobs ALTER request SET STORAGE EXTERNAL, ALTER result SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX jobs_by_key ON @jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_pending ON @jobs (tool, number) WHERE status = 'pending';
CREATE INDEX jobs_executing ON @jobs (tool, lease_expires_at) WHERE status = 'executing';
CREATE INDEX jobs_expiring ON @jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_by_principal ON @jobs (principal, number) WHERE principal IS NOT NULL;
CREATE TABLE @events (job bigint, seq bigint, event bytea NOT NULL, PRIMARY KEY (job, seq));
CREATE TABLE @sinks (sink text COLLATE "C" PRIMARY KEY);
CREATE TABLE @outbox (
    sink text COLLATE "C",
    job bigint,
    after_seq bigint NOT NULL DEFAULT 0,
    holder text COLLATE "C",
    leased_until double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (sink, job)
);
CREATE INDEX outbox_job ON @outbox (job);
CREATE TABLE @workers (worker_id text COLLATE "C" PRIMARY KEY, alive_until double precision NOT NULL);
CREATE TABLE @slots (
    name text COLLATE "C",
    holder text COLLATE "C",
    expires_at double precision NOT NULL,
    PRIMARY KEY (name, holder)
);

-- Each statement in a function sees what was committed before it began: also by the last holder of the lock.
-- Far from the limit many are let in at once: fewer than there are connections can be on their way unseen, and "far" is
-- farther than that. Near the limit NULL is returned: ask again with is_near, one at a time then, with none on its way.
CREATE FUNCTION @admits(wanted text, most bigint, is_near boolean) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lock_key bigint := hashtextextended('@jobs ' || wanted, 0);
    unfinished bigint;
BEGIN
    IF is_near THEN
        PERFORM pg_advisory_xact_lock(lock_key);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(lock_key);
    END IF;
    SELECT count(*) INTO unfinished FROM (
        SELECT FROM @jobs WHERE tool = wanted AND status = 'pending'
        UNION ALL
        SELECT FROM @jobs WHERE tool = wanted AND status = 'executing'
        LIMIT most
    ) AS jobs;
    IF is_near OR unfinished < most - current_setting('max_connections')::bigint THEN
        RETURN unfinished < most;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION @acquire_slot(wanted text, by_holder text, most bigint, at double precision, until double precision)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('@slots ' || wanted, 0));
    DELETE FROM @slots WHERE name = wanted AND expires_at <= at;
    UPDATE @slots SET expires_at = until WHERE name = wanted AND holder = by_holder;
    IF FOUND THEN
        RETURN true;
    END IF;
    INSERT INTO @slots
        SELECT wanted, by_holder, until WHERE (SELECT count(*) FROM @slots WHERE name = wanted) < most;
    RETURN FOUND;
END $$;
""",
    'CREATE TABLE @secrets (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);',
    """
-- Jobs that have expired, and are kept until then for sinks that have not confirmed them.
CREATE TABLE @retired (
    number bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    home text COLLATE "C",
    last_seq bigint NOT NULL,
    record bytea NOT NULL,
    result bytea,
    deliver_until double precision NOT NULL
);
ALTER TABLE @retired ALTER result SET STORAGE EXTERNAL;
CREATE INDEX retired_by_end ON @retired (deliver_until);
ALTER TABLE @sinks ADD COLUMN seen_at double precision;
""",
    """
ALTER TABLE @jobs ADD COLUMN share bytea;
CREATE INDEX jobs_by_share ON @jobs (share) WHERE share IS NOT NULL AND status IN ('pending', 'executing');
-- The token buckets that are not full. After a crash of the database all are full.
CREATE UNLOGGED TABLE @buckets (
    name bytea PRIMARY KEY,
    used double precision NOT NULL,
    at double precision NOT NULL,
    full_at double precision NOT NULL,
    is_taken boolean NOT NULL
);
-- As admits, and for the share of a caller too, one at a time: 'open', or 'near', or which has too many.
CREATE FUNCTION @admits_of_share(wanted text, most bigint, is_near boolean, wanted_share bytea, most_of_share bigint)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    is_open boolean := true;
    unfinished bigint;
BEGIN
    IF most IS NOT NULL THEN
        is_open := @admits(wanted, most, is_near);
        IF is_open IS NOT TRUE THEN
            RETURN CASE WHEN is_open IS NULL THEN 'near' ELSE 'tool' END;
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('@shares ' || encode(wanted_share, 'hex'), 0));
    SELECT count(*) INTO unfinished FROM (
        SELECT FROM @jobs WHERE share = wanted_share AND status IN ('pending', 'executing') LIMIT most_of_share
    ) AS jobs;
    RETURN CASE WHEN unfinished < most_of_share THEN 'open' ELSE 'share' END;
END $$;
""",
)
