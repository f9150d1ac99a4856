"""A service whose callers have keys, tokens or a gateway; the environment says which, and where its jobs are."""

import os

from lambda_kit import JobContext, JobSettings, JobStore, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator, TrustedHeader
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.adapters.stores.urls import store_from_url
from tests.callers.credential_fuzz import AUDIENCE
from tests.core.running_tools import Ask
from tests.support.gate import pass_gate_async

GATE = int(os.environ.get("CALLERS_GATE", "0"))


def the_store() -> JobStore:
    """The store that the environment names, in a part of the database that is the test's own."""
    url = os.environ.get("CALLERS_STORE", "memory://")
    if url.startswith("redis"):
        return RedisJobStore(url, prefix=os.environ["CALLERS_PREFIX"])
    if url.startswith("postgres"):
        return PostgresJobStore(url, schema=os.environ["CALLERS_SCHEMA"])
    return store_from_url(url)


class Who(LambdaTool):
    """Says who asks"""

    path = "/who"

    async def run(self, req: Ask, ctx: JobContext) -> str:
        return ctx.principal.id if ctx.principal is not None else "nobody"


class Held(LambdaTool):
    """Says who asks, once it may go on; may be run again"""

    path = "/held"
    options = ToolOptions(max_wait_time=0.0, max_attempts=2)

    async def run(self, req: Ask, ctx: JobContext) -> dict[str, object]:
        ctx.progress(0, 2, f"attempt {ctx.attempt}")
        await pass_gate_async(GATE)
        ctx.progress(1, 2, "goes on")
        principal = ctx.principal
        assert principal is not None
        return {
            "id": principal.id,
            "name": principal.name,
            "scopes": sorted(principal.scopes),
            "attempt": ctx.attempt,
            "by": os.getpid(),
        }


server = ToolServer(
    Service(name="Callers", contact={"name": "Alice", "email": "alice@example.com"}),
    [Who, Held],
    store=the_store(),
    authenticator=[
        ApiKeys(os.environ["CALLERS_KEYS"]),
        OidcAuthenticator(os.environ["CALLERS_ISSUER"], audience=AUDIENCE),
        TrustedHeader(proxies=os.environ.get("CALLERS_GATEWAY", "10.9.9.9")),
    ],
    job_list=True,
    settings=JobSettings(lease_seconds=float(os.environ.get("CALLERS_LEASE", "30")), heartbeat_seconds=0.3),
)

if __name__ == "__main__":
    server.serve()
