from pydantic import BaseModel

from lambda_kit import ExecutorOpts, LambdaTool, Service, ToolOptions, ToolServer


class RenderRequest(BaseModel):
    scene: str


class RenderScene(LambdaTool):
    """Render a scene"""

    path = "/scenes/render"
    name = "render"
    options = ToolOptions(
        name="Render a scene",
        tags=["Graphics"],
        service_id="/scenes/render",
        max_wait_time=0.5,
        refresh_interval=10,
        executor_opts=ExecutorOpts(max_workers=2, job_cache_ttl=24 * 3600, job_cache_size=500),
    )

    def run(self, req: RenderRequest) -> str:
        return f"a picture of {req.scene}"


server = ToolServer(
    Service(name="Renderer", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[RenderScene],
    job_list=True,
)

if __name__ == "__main__":
    server.serve()
