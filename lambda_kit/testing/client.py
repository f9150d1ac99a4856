"""`TestClient`: requests to a server without a port."""

import litestar.testing
from litestar import Litestar

from lambda_kit.server import ToolServer

__all__ = ["TestClient"]


class TestClient(litestar.testing.TestClient[Litestar]):
    """An `httpx.Client` that talks to a server's `app` in this process.

    ::

        with TestClient(server) as client:
            answer = client.post("/greet", json={"name": "Ann"})

    Inside of ``with`` the server runs: its tools are set up, its jobs are run. At the end it is stopped and its tools
    are torn down. Redirects are followed.

    Args:
        server: The server under test.
        base_url: What requests seem to be sent to.
        raise_server_exceptions: Whether what a handler raises by mistake is raised here, instead of being answered.
    """

    __test__ = False  # its name makes pytest take it for a class of tests

    def __init__(
        self,
        server: ToolServer,
        *,
        base_url: str = "http://testserver.local",
        raise_server_exceptions: bool = True,
    ) -> None:
        super().__init__(server.app, base_url=base_url, raise_server_exceptions=raise_server_exceptions)
        self.server = server
