"""The database behind `PostgresJobStore`: its connections, its schema, and what its errors mean. Needs asyncpg."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import asyncpg

from lambda_kit.adapters.stores.alarm import Alarm
from lambda_kit.adapters.stores.postgres.schema import MIGRATIONS, OLDEST_VERSION
from lambda_kit.adapters.stores.postgres.url import check_url, redacted, wrong_url
from lambda_kit.core.errors import ConfigurationError, PayloadTooLargeError, UnavailableError

__all__ = ["Connection", "Database", "Row"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record
_Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 5.0
_RELEASE_SECONDS = 2.0
_MIGRATION_SECONDS = 60.0
_BYTES_PER_SECOND = 2_000_000  # what a slow network brings at least
_MOST_BYTES = 1_000_000_000  # PostgreSQL's limit of a value, and of a message, is a little more
_TRIES = 5
_NEWEST_VERSION = OLDEST_VERSION - 1 + len(MIGRATIONS)
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

# What is counted after the wait for a lock is what others have committed meanwhile. In other levels, which a server, a
# role or a database may have as its default, it would be what there was before the wait.
_READ_COMMITTED = "SET default_transaction_isolation = 'read committed'"

# What the server says when another try may do: connection exceptions, no resources (such as a full disk or too many
# connections), operator intervention (such as a shutdown), system errors.
_AWAY = ("08", "53", "57", "58")
_READ_ONLY = "25006"  # a standby, until it is promoted or the name leads to another server
# What was there when the store was opened: user, password, rights, the database, the schema and its tables. One that is
# being changed comes back, and what is under way must not be lost meanwhile.
_REFUSED = ("28", "3D", "3F", "42501", "42P01")
_OF_OTHERS = ("42P07", "42703", "42710")  # a table, or an index, of ours is there and not ours, or lacks a column
_NOT_ITS_FAULT = ("22", "23", "42", "54")  # a statement that is wrong: trying again would hide that


async def _prepare_session(connection: Any) -> None:
    # The indexes of pending and executing jobs are full of rows that are neither any more, until they are vacuumed. An
    # index scan marks those that it meets, and the next one passes them by; a bitmap scan visits them all each time.
    await connection.execute(f"SET enable_bitmapscan = off; {_READ_COMMITTED}")


async def _keep_session(_: object) -> None:
    """Leave a connection as it is when it goes back to the pool: no statement changes its session further."""


class Database:
    """A pool of connections to one database, and the schema in it.

    Args:
        url: ``postgresql://user:password@host:port/database``.
        schema: The schema of the tables; made if it is not there.
        max_connections: How many connections the pool has at most.
        statement_cache_size: How many prepared statements each connection keeps. 0: statements are not prepared.

    Raises:
        ConfigurationError: if `schema` is not a plain name, or the URL says neither host nor database.
    """

    def __init__(self, url: str, *, schema: str, max_connections: int, statement_cache_size: int) -> None:
        if not _SCHEMA.fullmatch(schema):
            raise ConfigurationError(f"schema={schema!r}: must be letters, digits and underscores")
        check_url(url)
        self.where = redacted(url)
        self.quoted_schema = f'"{schema}"'
        self._url = url
        self._schema = schema
        self._version_table = f"{self.quoted_schema}.schema_version"
        self._max_connections = max_connections
        self._statement_cache_size = statement_cache_size
        self._pool: _Pool | None = None
        self._alarm = Alarm()

    async def open(self) -> None:
        """Connect, and bring the schema up to date."""
        try:
            with self.translated(is_opening=True):
                connection = await self._first_connection()
                async with asyncio.timeout(_MIGRATION_SECONDS):
                    await self._migrate(connection)
                await self._existing_pool().release(connection)
        except BaseException:
            self._give_up()
            raise

    async def _first_connection(self) -> Any:
        self._pool = asyncpg.create_pool(
            self._url,
            min_size=0,  # connections are made when they are needed: while the server is away nobody tries in vain
            max_size=self._max_connections,
            max_queries=1_000_000,
            init=_prepare_session,
            reset=_keep_session,
            timeout=_CONNECT_SECONDS,
            statement_cache_size=self._statement_cache_size,
        )
        try:
            await self._pool
            return await self._pool.acquire(timeout=_CONNECT_SECONDS)
        except OSError:  # a certificate that is not right is also a ValueError
            raise
        except ValueError:
            raise wrong_url(self.where) from None

    def _existing_pool(self) -> _Pool:
        if self._pool is None:
            raise UnavailableError(f"the job store at {self.where} is not open")
        return self._pool

    async def close(self) -> None:
        """Close the connections, once what is under way has ended."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    await pool.close()
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pool.terminate()

    def _give_up(self) -> None:
        """Close the connections at once: to close them in order would wait for one that nobody gives back."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(asyncpg.InterfaceError):  # it has none yet
                pool.terminate()

    async def rows(self, sql: str, *args: Any, body_size: int = 0) -> list[Row]:
        """Do a statement, in a transaction of its own.

        Args:
            sql: The statement.
            args: Its parameters.
            body_size: How many bytes may have to be sent or received, beyond a few.

        Raises:
            PayloadTooLargeError: if the database can't keep so much in one piece.
            UnavailableError: if the database can't be reached. Whether the statement was done is not known then.
        """
        if body_size > _MOST_BYTES:
            # clients are told this: where the store is, is not for them
            raise PayloadTooLargeError(
                f"{body_size} bytes are more than a job store in PostgreSQL keeps in one piece: {_MOST_BYTES}"
            )
        with self.translated():
            for _ in range(_TRIES - 1):
                try:
                    return await self._rows(sql, args, body_size)
                except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                    continue  # undone: another transaction went first
            return await self._rows(sql, args, body_size)

    async def _rows(self, sql: str, args: tuple[Any, ...], body_size: int) -> list[Row]:
        pool = self._existing_pool()
        async with asyncio.timeout(_CALL_SECONDS + body_size / _BYTES_PER_SECOND):
            connection = await pool.acquire()
            try:
                return await connection.fetch(sql, *args)
            finally:
                # waits until the server has ended a statement that was cancelled: then it is done, or not
                await pool.release(connection, timeout=_RELEASE_SECONDS)

    async def row(self, sql: str, *args: Any, body_size: int = 0) -> Row | None:
        """The first row of `rows`, if there is one."""
        rows = await self.rows(sql, *args, body_size=body_size)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def own_connection(self) -> AsyncIterator[Connection]:
        """A connection outside the pool."""
        connection: Connection = await asyncpg.connect(
            self._url, timeout=_CONNECT_SECONDS, statement_cache_size=self._statement_cache_size
        )
        try:
            await connection.execute(_READ_COMMITTED, timeout=_CONNECT_SECONDS)
            yield connection
        finally:
            connection.terminate()

    @contextlib.contextmanager
    def translated(self, *, is_opening: bool = False) -> Iterator[None]:
        """Raise the port's errors for the driver's.

        Args:
            is_opening: Whether the store is being started: what is refused then must be mended by somebody.

        Raises:
            UnavailableError: if the database can't be reached now, or refuses what it allowed when it was opened.
            ConfigurationError: if it will not be reached like this.
        """
        try:
            yield
        except OSError as error:  # TimeoutError is one
            reason = str(error) or "it did not answer in time"
            raise UnavailableError(f"the job store at {self.where} is away: {reason}") from error
        except asyncpg.PostgresError as error:
            state = error.sqlstate or ""
            if is_opening and not (state.startswith(_AWAY) or state == _READ_ONLY):
                remedy = self._remedy(state)
                raise ConfigurationError(f"the job store at {self.where} can't be opened: {error}{remedy}") from error
            if state.startswith(_REFUSED):
                refusal = f"the job store at {self.where} refuses what it allowed before: {error}"
                self._alarm.sound(refusal)
                raise UnavailableError(refusal) from error
            if state.startswith(_NOT_ITS_FAULT):
                raise
            raise UnavailableError(f"the job store at {self.where} is away: {error}") from error
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            if isinstance(error, ValueError):  # an argument that has no form in the database
                raise
            raise UnavailableError(f"the job store at {self.where} is away: {error}") from error

    def _remedy(self, state: str) -> str:
        """What to do where the database does not let us prepare the schema, to follow what it says."""
        if state == "42501":
            return (
                "; let the user make the schema (GRANT CREATE ON DATABASE … TO …), or give it one that it owns "
                f"(CREATE SCHEMA {self._schema} AUTHORIZATION …)"
            )
        return f"; {self._of_others()}" if state in _OF_OTHERS else ""

    def _of_others(self) -> str:
        return (
            f"the schema '{self._schema}' belongs to another application: choose another by "
            'PostgresJobStore(url, schema="…")'
        )

    async def _migrate(self, connection: Any) -> None:
        if await self._version(connection) == _NEWEST_VERSION:
            return
        async with connection.transaction():
            # processes that open the store at once: one makes the schema, the others find it
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{self._schema} schema")
            version = await self._version(connection)
            if version is None:
                await self._prepare_schema(connection)
            for sql in MIGRATIONS[version - OLDEST_VERSION + 1 if version else 0 :]:
                await connection.execute(sql.replace("@", f"{self.quoted_schema}."))
            await connection.execute(f"UPDATE {self._version_table} SET version = $1", _NEWEST_VERSION)  # noqa: S608 - checked and quoted

    async def _prepare_schema(self, connection: Any) -> None:
        # looked for first: to make a schema needs a right that the user may not have, even if it is there
        if not await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", self._schema):
            await connection.execute(f"CREATE SCHEMA {self.quoted_schema}")
        await connection.execute(f"CREATE TABLE {self._version_table} AS SELECT 0 AS version")

    async def _version(self, connection: Any) -> int | None:
        """The schema's version; None: there is nothing yet."""
        # not to_regclass: it may answer from before the wait for the lock
        sql = "SELECT true FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_version'"
        if not await connection.fetchval(sql, self._schema):
            return None
        version: object = await connection.fetchval(f"SELECT version FROM {self._version_table}")  # noqa: S608
        if not isinstance(version, int):
            raise ConfigurationError(f"the job store at {self.where} can't be opened: {self._of_others()}")
        if 0 < version < OLDEST_VERSION:
            raise ConfigurationError(
                f"the job store at {self.where} was made by an older lambda_kit (schema version {version}, read here: "
                f"from {OLDEST_VERSION} on): let that version finish its jobs, then drop the schema '{self._schema}', "
                "or give this service another one"
            )
        if version > _NEWEST_VERSION:
            raise ConfigurationError(
                f"the job store at {self.where} was made by a newer lambda_kit (schema version {version}, known here: "
                f"{_NEWEST_VERSION}): update this service, or give it another schema than '{self._schema}'"
            )
        return version
