import pytest

from fit_line import FitLine, FitRequest, FitResult, server
from lambda_kit import JobFailedError
from lambda_kit.testing import TestClient


def test_two_points_make_a_line():
    assert FitLine().run(FitRequest(x=[0, 1], y=[1, 3])) == FitResult(slope=2, intercept=1)


async def test_it_runs_as_a_job():
    assert await server.run_tool(FitLine, {"x": [0, 1], "y": [1, 3]}) == FitResult(slope=2, intercept=1)


async def test_one_point_makes_no_line():
    with pytest.raises(JobFailedError, match="at least two different x"):
        await server.run_tool(FitLine, FitRequest(x=[0], y=[1]))


def test_it_is_a_service():
    with TestClient(server) as client:
        answer = client.post("/fit-line", json={"x": [0, 1], "y": [1, 3]})
    assert answer.status_code == 200
    assert answer.json()["slope"] == 2
