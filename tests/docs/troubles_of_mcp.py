"""What docs/troubleshooting.md says of MCP, reproduced."""

import asyncio

import httpx

from tests.docs.troubles import greeter, served, shows

HERE = "http://127.0.0.1:8090"


def refused_at_mcp(fields: dict[str, str]) -> str:
    async def ask() -> str:
        server = served(greeter(__doc__="Greet somebody"), mcp=True)
        async with server, httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=HERE) as client:
            answer = await client.post("/mcp", json={}, headers=fields)
            assert answer.status_code == 403
            detail: str = answer.json()["detail"]
            return detail

    return asyncio.run(ask())


@shows("Host: /mcp may not be called by this name: if it is right, add it to --mcp-allowed-hosts")
def a_foreign_host() -> str:
    return refused_at_mcp({"Host": "api.example.com"})


@shows("Origin: pages of this origin may not use /mcp: if they should, add it to --mcp-allowed-origins")
def a_foreign_page() -> str:
    return refused_at_mcp({"Origin": "https://app.example.com"})
