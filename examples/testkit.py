"""The test worker that ivcap-service ships, as a service: CPU load, HTTP calls, events, Wordle, artifacts.

Each part runs if the request has its section. Without $IVCAP_URL and $IVCAP_BASE_URL artifacts are local: read
from ``urn:file://<absolute path>`` or a ``data:`` URL, written to the folder $IVCAP_LOCAL_DIR (ivcap-artifacts).

python examples/testkit.py --port 8090
curl -X POST http://localhost:8090/ -H "Content-Type: application/json" -d '{"echo": "hello", "wordle": {}}'
"""

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
        return process_job(req, ctx)


server = ToolServer(service, tools=[TestKit])
app = server.app

if __name__ == "__main__":
    server.serve()
