"""The test worker that ivcap-service ships, as a service: CPU load, HTTP calls, events, Wordle, artifacts.

Each part runs if the request has its section. Without $IVCAP_URL and $IVCAP_BASE_URL artifacts are local: read
from ``urn:file://<absolute path>`` or a ``data:`` URL, written to the folder $IVCAP_LOCAL_DIR (ivcap-artifacts).

python examples/testkit.py --port 8090
curl -X POST http://localhost:8090/ -H "Content-Type: application/json" -d '{"echo": "hello", "wordle": {}}'
"""

from collections.abc import Iterator
from typing import Any

import ivcap_service
from ivcap_client.artifact import LocalFileArtifact
from ivcap_client.ivcap import LocalIVCAP
from ivcap_service.testkit import Request, Result, process_job

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer, logging_init

logging_init()

service = Service(
    name="Test kit",
    description="Puts load on a platform and tries its parts.",
    contact={"name": "Alice", "email": "alice@example.com"},
)


class TestKit(LambdaTool):
    """Put load on a platform

    Burns CPU time, calls a URL, asks a language model, copies an artifact, plays Wordle or sends events, as the
    request says, and tells how it went.
    """

    path = "/"
    options = ToolOptions(tags=["Test kit"])

    def run(self, req: Request, ctx: JobContext) -> Result:
        if req.artifact is not None and isinstance(ctx.ivcap, LocalIVCAP):
            return process_job(req, LocalContext.of(ctx))
        return process_job(req, ctx)


class LocalContext(ivcap_service.JobContext):
    """The context of a job whose worker reads artifacts in chunks, which local files don't offer by themselves."""

    @classmethod
    def of(cls, ctx: JobContext) -> "LocalContext":
        return cls(job_id=ctx.job_id, report=ctx.report, job_authorization=ctx.job_authorization)

    @property
    def ivcap(self) -> LocalIVCAP:
        return StreamingLocalIVCAP()


class StreamingLocalIVCAP(LocalIVCAP):
    def get_artifact(self, id: str) -> Any:  # noqa: A002 - the name that it has there
        artifact = super().get_artifact(id)
        return StreamedFile(id) if isinstance(artifact, LocalFileArtifact) else artifact


class StreamedFile(LocalFileArtifact):
    def as_stream(self, chunk_size: int) -> Iterator[bytes]:
        with self.as_local_file().open("rb") as file:
            while chunk := file.read(chunk_size):
                yield chunk


server = ToolServer(service, tools=[TestKit])
app = server.app

if __name__ == "__main__":
    server.serve()
