"""A tool with threads of its own, whose calls are in the trace of the job."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

import httpx
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolServer


class Pages(BaseModel):
    urls: list[str]


class Statuses(BaseModel):
    statuses: list[int]


class Check(LambdaTool):
    """Check pages

    Asks for each page, and says what was answered.
    """

    def run(self, req: Pages, ctx: JobContext) -> Statuses:
        def check(url: str) -> int:
            with ctx.report.step("check", url):  # its span is in the job's trace without further ado
                return httpx.get(url).status_code

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(contextvars.copy_context().run, check, url) for url in req.urls]
            return Statuses(statuses=[call.result() for call in calls])


server = ToolServer(Service(name="Pages", contact={"name": "Alice", "email": "alice@example.com"}), tools=[Check])

if __name__ == "__main__":
    server.serve()
