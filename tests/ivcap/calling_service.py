"""A service whose tools call whatever URLs they are told to, in every executor."""

import threading
from contextvars import copy_context
from typing import Any

from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, ProcessExecutor, Service, ToolOptions, ToolServer, get_secret
from tests.ivcap import loopback_names  # noqa: F401 - for its effect
from tests.ivcap.ways_to_call import ASYNC, SYNC


class Order(BaseModel):
    orders: list["Order"] = []
    urls: list[str] = []
    ways: list[str] = []
    """None: all."""
    fields: dict[str, str] = Field(default_factory=dict)
    llm_base_url: str = ""


class Answers(BaseModel):
    answers: list[str]


class _Caller(LambdaTool):
    def _call(self, order: Order) -> list[str]:
        if order.orders:
            return [answer for part in order.orders for answer in self._call(part)]
        return [
            f"{SYNC[way](url, {**order.fields, 'X-Way': way}).status_code}"
            for url in order.urls
            for way in order.ways or SYNC
        ]


class InThread(_Caller):
    """Calls from a thread."""

    options = ToolOptions(executor="thread")

    def run(self, req: Order) -> Answers:
        return Answers(answers=self._call(req))


class InProcess(_Caller):
    """Calls from a worker process."""

    options = ToolOptions(executor="process")

    def run(self, req: Order) -> Answers:
        return Answers(answers=self._call(req))


class InTask(LambdaTool):
    """Calls from the event loop."""

    options = ToolOptions(executor="asyncio")

    async def run(self, req: Order) -> Answers:
        answers = [await ASYNC[way](url, {**req.fields, "X-Way": way}) for url in req.urls for way in req.ways or ASYNC]
        return Answers(answers=[str(answer.status_code) for answer in answers])


class InOwnThread(_Caller):
    """Calls from a thread of the tool's own: as it is, and with the job's context."""

    def run(self, req: Order) -> Answers:
        answers: list[str] = []
        targets: list[Any] = [lambda: answers.extend(self._call(req))]
        if req.llm_base_url == "copied":
            context = copy_context()
            targets = [lambda: context.run(lambda: answers.extend(self._call(req)))]
        for target in targets:
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        return Answers(answers=answers)


def _ask(ctx: JobContext) -> Answers:
    client = ctx.llm_client()
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    return Answers(answers=["asked"])


class AskInThread(LambdaTool):
    """Asks a language model."""

    options = ToolOptions(executor="thread")

    def run(self, req: Order, ctx: JobContext) -> Answers:
        return _ask(ctx)


class AskInProcess(LambdaTool):
    """Asks a language model."""

    options = ToolOptions(executor="process")

    def run(self, req: Order, ctx: JobContext) -> Answers:
        return _ask(ctx)


class AskInTask(LambdaTool):
    """Asks a language model, and blocks the loop for it."""

    options = ToolOptions(executor="asyncio")

    async def run(self, req: Order, ctx: JobContext) -> Answers:
        return _ask(ctx)


class Secret(LambdaTool):
    """Reads a secret."""

    def run(self, req: Order) -> Answers:
        return Answers(answers=[str(len(get_secret("MY_SECRET")))])


class ReadArtifact(LambdaTool):
    """Reads an artifact."""

    def run(self, req: Order, ctx: JobContext) -> Answers:
        artifact = ctx.ivcap.get_artifact(req.urls[0])
        return Answers(answers=[str(len(b"".join(artifact.as_stream())))])


server = ToolServer(
    Service(name="Caller", contact={"name": "T", "email": "t@example.com"}),
    tools=[InThread, InProcess, InTask, InOwnThread, AskInThread, AskInProcess, AskInTask, Secret, ReadArtifact],
    executor=[ProcessExecutor(2)],
)

if __name__ == "__main__":
    server.serve(run_opts={"loop": "asyncio"})  # uvloop looks names up by itself
