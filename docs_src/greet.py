from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer, logging_init, with_schema

service = Service(name="Greeter", contact={"name": "Alice", "email": "alice@example.com"})


@with_schema("urn:example:schema:my-tool.request.1")
class MyRequest(BaseModel):
    name: str = Field(..., description="Name to greet.")
    count: int = Field(1, description="Number of times to repeat the greeting.", ge=1)


@with_schema("urn:example:schema:my-tool.1")
class MyResult(BaseModel):
    greeting: str = Field(..., description="The generated greeting.")


class Greet(LambdaTool):
    """Greet a person

    Generates a personalised greeting the requested number of times.
    Describe your tool here — this text is surfaced to AI agents to
    help them decide whether to use it.
    """

    path = "/greet"
    options = ToolOptions(tags=["Greeter"], service_id="/greet")

    def run(self, req: MyRequest, ctx: JobContext) -> MyResult:
        with ctx.report.step("greet", "Greeting...") as step:
            greeting = (f"Hello, {req.name}! " * req.count).strip()
            step.finished("Done")
        return MyResult(greeting=greeting)


server = ToolServer(service, tools=[Greet])

if __name__ == "__main__":
    logging_init()
    server.serve()
