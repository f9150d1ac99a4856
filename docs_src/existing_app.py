from litestar import Litestar, get

from fit_line import server


@get("/")
async def index() -> str:
    return "The tool is at /fit-line"


app = Litestar(route_handlers=[index], plugins=[server.plugin()])
