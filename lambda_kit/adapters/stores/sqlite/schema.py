"""The schema of a `SqliteJobStore`, version by version."""

from typing import Final

__all__ = ["MIGRATIONS", "OLDEST_VERSION"]

OLDEST_VERSION: Final = 2
"""Version 1 had other columns, and records that can't be read any more."""

_VERSION_2 = (
    # the last numbers that were given out
    "CREATE TABLE counters (number INTEGER NOT NULL, change INTEGER NOT NULL)",
    "INSERT INTO counters VALUES (0, 0)",
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        idempotency_key TEXT,
        tool TEXT NOT NULL,
        status TEXT NOT NULL,
        assigned_worker TEXT,
        home TEXT,
        principal TEXT,
        cancel_requested INTEGER NOT NULL,
        lease_expires_at REAL,
        expires_at REAL,
        change INTEGER NOT NULL,
        origin INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        event_count INTEGER NOT NULL,
        batch_token INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        record BLOB NOT NULL,
        request_type TEXT,
        request BLOB,
        result_type TEXT,
        result BLOB
    )""",
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX jobs_by_status ON jobs (status, number, tool, assigned_worker)",
    "CREATE INDEX jobs_by_lease ON jobs (lease_expires_at) WHERE lease_expires_at IS NOT NULL",
    "CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX jobs_by_change ON jobs (change, origin)",
    "CREATE INDEX jobs_by_principal ON jobs (principal, number) WHERE principal IS NOT NULL",
    # large bodies: small ones are with their jobs
    "CREATE TABLE requests (number INTEGER PRIMARY KEY, content_type TEXT NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE results (number INTEGER PRIMARY KEY, content_type TEXT NOT NULL, content BLOB NOT NULL)",
    """CREATE TABLE events (
        number INTEGER NOT NULL, seq INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY (number, seq)
    ) WITHOUT ROWID""",
    "CREATE TABLE workers (worker_id TEXT PRIMARY KEY, alive_until REAL NOT NULL) WITHOUT ROWID",
    """CREATE TABLE slots (
        name TEXT NOT NULL, holder TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (name, holder)
    ) WITHOUT ROWID""",
    "CREATE TABLE sinks (name TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE outbox (
        sink TEXT NOT NULL, number INTEGER NOT NULL, after_seq INTEGER NOT NULL, holder TEXT, leased_until REAL,
        PRIMARY KEY (sink, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX outbox_by_number ON outbox (number)",
)

# by how much the time of the store is ahead of that since a boot of the machine (`FileClock`)
_VERSION_3 = ("CREATE TABLE clock (boot TEXT NOT NULL, ahead REAL NOT NULL)",)

_VERSION_4 = ("CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",)

_VERSION_5 = (
    # jobs that have expired, and are kept until then for sinks that have not confirmed them
    """CREATE TABLE retired (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        home TEXT,
        last_seq INTEGER NOT NULL,
        record BLOB NOT NULL,
        result_type TEXT,
        result BLOB,
        deliver_until REAL NOT NULL
    )""",
    "CREATE INDEX retired_by_end ON retired (deliver_until)",
    "ALTER TABLE sinks ADD COLUMN seen_at REAL",
)

_VERSION_6 = (
    "ALTER TABLE jobs ADD COLUMN share BLOB",
    "CREATE INDEX jobs_by_share ON jobs (share) WHERE share IS NOT NULL AND status IN ('pending', 'executing')",
    # the token buckets that are not full
    """CREATE TABLE buckets (
        name BLOB PRIMARY KEY, used REAL NOT NULL, at REAL NOT NULL, full_at REAL NOT NULL
    ) WITHOUT ROWID""",
)

# What may be due now of the outbox: a job that runs for long, and reports nothing, is not looked at each time. Triggers
# keep it, so that it is right whatever version writes to the file.
_VERSION_7 = (
    "CREATE TABLE due (sink TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (sink, number)) WITHOUT ROWID",
    "INSERT INTO due SELECT sink, number FROM outbox",
    """CREATE TRIGGER due_when_new AFTER INSERT ON outbox BEGIN
        INSERT OR IGNORE INTO due VALUES (NEW.sink, NEW.number);
    END""",
    """CREATE TRIGGER due_when_changed AFTER UPDATE OF last_seq, status ON jobs BEGIN
        INSERT OR IGNORE INTO due SELECT sink, number FROM outbox WHERE number = NEW.number;
    END""",
    """CREATE TRIGGER not_due_when_confirmed AFTER UPDATE OF after_seq ON outbox BEGIN
        DELETE FROM due WHERE sink = NEW.sink AND number = NEW.number AND EXISTS (
            SELECT 1 FROM jobs
            WHERE number = NEW.number AND last_seq <= NEW.after_seq AND status IN ('pending', 'executing')
        );
    END""",
    """CREATE TRIGGER not_due_when_delivered AFTER DELETE ON outbox BEGIN
        DELETE FROM due WHERE sink = OLD.sink AND number = OLD.number;
    END""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7)
"""Statements that make of each version of the schema the next one; the first makes version 2 of an empty file."""
