from ivcap_lambda import ToolOptions, ivcap_lambda, logging_init, start_lambda_server
from ivcap_service import JobContext, Service, with_schema
from pydantic import BaseModel, Field

service = Service(name="Greeter", contact={"name": "Alice", "email": "alice@example.com"})


@with_schema("urn:example:schema:my-tool.request.1")
class MyRequest(BaseModel):
    name: str = Field(..., description="Name to greet.")
    count: int = Field(1, description="Number of times to repeat the greeting.", ge=1)


@with_schema("urn:example:schema:my-tool.1")
class MyResult(BaseModel):
    greeting: str = Field(..., description="The generated greeting.")


@ivcap_lambda("/greet", opts=ToolOptions(tags=["Greeter"], service_id="/greet"))
def greet(req: MyRequest, job_ctxt: JobContext) -> MyResult:
    """Greet a person

    Generates a personalised greeting the requested number of times.
    Describe your tool here — this text is surfaced to AI agents to
    help them decide whether to use it.
    """
    with job_ctxt.report.step("greet", "Greeting...") as step:
        greeting = (f"Hello, {req.name}! " * req.count).strip()
        step.finished("Done")
    return MyResult(greeting=greeting)


if __name__ == "__main__":
    logging_init()
    start_lambda_server(service)
