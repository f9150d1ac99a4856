"""A tool that fills `asyncio.to_thread` holds up nothing of the framework's."""

from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.wire import crowding_service
from tests.wire.jobs import start, wait_for_end

SECONDS = 60.0


@pytest.mark.parametrize("store", ["memory://", "sqlite"])
def test_a_tool_that_fills_the_thread_pool_of_the_loop_holds_up_nothing_else(store: str, tmp_path: Path) -> None:
    file = tmp_path / "go on"
    url = f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else store
    with (
        ServiceProcess(Path(crowding_service.__file__), ["--store", url]) as process,
        httpx.Client(base_url=process.url, timeout=SECONDS) as client,
    ):
        crowding = start(client, "/crowds", file=str(file))
        try:
            assert client.get("/_healtz").status_code == 200
            assert "lambda_kit_" in client.get("/metrics").text
            large = "x" * 3_000_000  # is decoded on a thread
            assert client.post("/measures", json={"text": large}).json() == len(large)
            assert client.post("/reads", json={}).text == "from a file"
            assert client.get("/api").status_code == 200
            assert client.get(f"/jobs/{crowding}").status_code == 204
        finally:
            file.touch()
        assert wait_for_end(client, crowding).text == "done"
