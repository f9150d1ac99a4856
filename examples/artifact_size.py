"""Streams an artifact and tells its size: "Accessing IVCAP Artifacts" of ivcap-lambda's README, as a service.

Without $IVCAP_URL and $IVCAP_BASE_URL artifacts are local: a file's path, a ``urn:file://<path>``, a ``data:`` URL, or
the URN of one in the folder $IVCAP_LOCAL_DIR (ivcap-artifacts). On the platform it is the same code.

python examples/artifact_size.py --port 8090
curl -X POST http://localhost:8090/ -H "Content-Type: application/json" -d '{"artifact_id": "README.md"}'
"""

import io

from pydantic import BaseModel, Field

from lambda_kit import GenericEvent, JobContext, LambdaTool, Service, ToolOptions, ToolServer, logging_init, with_schema

logging_init()

service = Service(
    name="Artifact size",
    description="Tells how large an artifact is.",
    contact={"name": "Alice", "email": "alice@example.com"},
)


@with_schema("urn:example:schema:artifact-size.request.1")
class MyRequest(BaseModel):
    artifact_id: str = Field(description="URN of the artifact; locally also a path.")
    summary: str | None = Field(None, description="Name of an artifact to write the size into.")


@with_schema("urn:example:schema:artifact-size.1")
class MyResult(BaseModel):
    size: int = Field(description="In bytes.")
    summary: str | None = Field(None, description="URN of the artifact that was written.")


class ArtifactSize(LambdaTool):
    """Tell the size of an artifact

    Downloads it in chunks, and reports how far it is. Returns the size in bytes. If a name for a summary is given, the
    size is also written into a new artifact of that name, whose URN is returned.
    """

    path = "/"
    options = ToolOptions(tags=["Artifacts"])

    # --8<-- [start:tool]
    def run(self, req: MyRequest, ctx: JobContext) -> MyResult:
        artifact = ctx.ivcap.get_artifact(req.artifact_id)

        with ctx.report.step("download", f"Streaming {artifact.id}") as step:
            bytes_received = 0
            for chunk in artifact.as_stream(chunk_size=8192):
                bytes_received += len(chunk)
                step.info(GenericEvent(name="chunk", options={"bytes": bytes_received}))
            step.finished(f"Downloaded {bytes_received} bytes")

        return MyResult(size=bytes_received, summary=self.summarise(req, ctx, bytes_received))

    # --8<-- [end:tool]

    def summarise(self, req: MyRequest, ctx: JobContext, size: int) -> str | None:
        if req.summary is None:
            return None
        content = f"{req.artifact_id},{size}\n".encode()
        written = ctx.ivcap.upload_artifact(
            name=req.summary, io_stream=io.BytesIO(content), content_type="text/csv", content_size=len(content)
        )
        return str(written.urn)


server = ToolServer(service, tools=[ArtifactSize])
app = server.app

if __name__ == "__main__":
    server.serve()
