"""A service whose tools copy an artifact by `ctx.ivcap`, in every executor."""

import io
import threading

from ivcap_client.artifact import TarMember
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, ProcessExecutor, Service, ToolOptions, ToolServer


class Order(BaseModel):
    urn: str


class Copied(BaseModel):
    size: int
    urn: str
    archive: str


def copy(req: Order, ctx: JobContext) -> Copied:
    artifact = ctx.ivcap.get_artifact(req.urn)
    content = b"".join(artifact.as_stream(chunk_size=1000))
    assert artifact.size == len(content)
    stream = io.BytesIO(content)
    written = ctx.ivcap.upload_artifact(
        name=f"copy of {artifact.name}", io_stream=stream, content_type="text/x-copy", content_size=len(content)
    )
    archive = ctx.ivcap.upload_tar_artifact([TarMember.from_bytes(content, "all")], name="all.tar.gz")
    return Copied(size=len(content), urn=written.urn, archive=archive.urn)


class InThread(LambdaTool):
    """Copies in a thread."""

    def run(self, req: Order, ctx: JobContext) -> Copied:
        return copy(req, ctx)


class InProcess(LambdaTool):
    """Copies in a worker process."""

    options = ToolOptions(executor="process")

    def run(self, req: Order, ctx: JobContext) -> Copied:
        return copy(req, ctx)


class InTask(LambdaTool):
    """Copies on the event loop, and blocks it."""

    async def run(self, req: Order, ctx: JobContext) -> Copied:
        return copy(req, ctx)


class InOwnThread(LambdaTool):
    """Reads in a thread of the tool's own."""

    def run(self, req: Order, ctx: JobContext) -> Copied:
        sizes: list[int] = []
        ivcap = ctx.ivcap
        thread = threading.Thread(target=lambda: sizes.append(len(ivcap.get_artifact(req.urn).open().read())))
        thread.start()
        thread.join()
        return Copied(size=sizes[0], urn="", archive="")


server = ToolServer(
    Service(name="Copier", contact={"name": "T", "email": "t@example.com"}),
    tools=[InThread, InProcess, InTask, InOwnThread],
    executor=[ProcessExecutor(1)],
)

if __name__ == "__main__":
    server.serve()
