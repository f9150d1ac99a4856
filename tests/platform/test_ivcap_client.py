"""The real ivcap-client, unmodified, with a service on a laptop."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ivcap_client.api.service import service_job_list
from ivcap_client.exception import IvcapApiError
from ivcap_client.job import JobStatus

from tests.platform.conftest import Laptop
from tests.platform.laptop_service import MEASURE_ID
from tests.support.gate import Gate

pytestmark = [
    # ivcap-client has httpx send text in a way that httpx will not know one day
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    # the client of TUS leaves the files that it reads to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WAIT = 30


@dataclass
class Wrong:
    to: str


def service_of(ivcap: Any, tool: str) -> Any:
    return ivcap.get_service_by_name(f"laptop-{tool}")


def ended(job: Any) -> Any:
    """The job, once it has ended."""
    httpx.get(f"{job._ivcap.url}/jobs/{job.id}", headers={"Prefer": f"wait={WAIT}"}, timeout=2 * WAIT)
    return job


def test_each_tool_is_a_service(ivcap: Any) -> None:
    services = list(ivcap.list_services())
    assert [service.name for service in services] == ["laptop-count", "laptop-say", "laptop-draw", "laptop-measure"]
    assert len({service.id for service in services}) == 4
    assert services[3].id == MEASURE_ID
    count = ivcap.get_service(services[0].id)
    assert count.status() == "active"
    assert count.description == "Count to a number"


def test_services_are_listed_page_by_page(laptop: Laptop) -> None:
    first = httpx.get(f"{laptop.url}/1/services2?limit=3").json()
    assert len(first["items"]) == 3
    (following,) = (link["href"] for link in first["links"] if link["rel"] == "next")
    rest = httpx.get(following).json()
    assert [item["id"] for item in rest["items"]] == [MEASURE_ID]
    assert [link["rel"] for link in rest["links"]] == ["self"]


def test_the_model_of_a_service_s_requests_is_made_of_the_tool_s_description(ivcap: Any) -> None:
    model = service_of(ivcap, "count").request_model
    assert set(model.model_fields) == {"to", "gate_port", "fails"}
    assert model(to=7).model_dump()["to"] == 7


def test_a_quick_job_answers_at_once_and_its_result_stays_readable(ivcap: Any) -> None:
    service = service_of(ivcap, "count")
    job = service.request_job(service.request_model(to=2), timeout=WAIT)
    assert job.id.startswith("urn:ivcap:job:")
    assert job.result == {"last": 2}
    assert job.status() is JobStatus.SUCCEEDED
    assert job.result == {"last": 2}
    assert job.requested_at is not None
    assert job.finished_at is not None


def test_a_long_job_is_asked_for_until_it_has_ended(ivcap: Any) -> None:
    service = service_of(ivcap, "count")
    with Gate() as gate:
        job = service.request_job(service.request_model(to=2, gate_port=gate.port), timeout=0)
        gate.wait_for_arrival()
        assert job.status() is JobStatus.EXECUTING
        assert not job.finished
    assert ended(job).succeeded
    assert job.result == {"last": 2}


async def test_the_asynchronous_client_waits_for_the_result(ivcap: Any) -> None:
    service = service_of(ivcap, "count")
    request = service.request_model(to=1)
    job: Any = await service.request_job_async(request, max_wait_time=WAIT, poll_interval=0.05)
    assert await job.result_async() == {"last": 1}
    await ivcap._client.get_async_httpx_client().aclose()


def test_a_failed_job_says_what_failed(ivcap: Any) -> None:
    service = service_of(ivcap, "count")
    job = ended(service.request_job(service.request_model(fails=True), timeout=WAIT))
    assert job.status() is JobStatus.FAILED
    assert not job.succeeded
    assert job.result == {
        "$schema": "urn:ivcap:schema.service.error.1",
        "error": "lost count",
        "type": "RuntimeError",
    }


def test_a_cancelled_job_is_one_that_failed_for_the_client(laptop: Laptop, ivcap: Any) -> None:
    service = service_of(ivcap, "count")
    with Gate() as gate:
        job = service.request_job(service.request_model(gate_port=gate.port), timeout=0)
        gate.wait_for_arrival()
        assert httpx.delete(f"{laptop.url}/jobs/{job.id}", timeout=WAIT).status_code in (200, 202)
    assert ended(job).status() is JobStatus.FAILED
    assert job.result["type"] == "job-cancelled"


def test_text_and_bytes_are_results_too(ivcap: Any, laptop: Laptop) -> None:
    say, draw = service_of(ivcap, "say"), service_of(ivcap, "draw")
    spoken = ended(say.request_job(say.request_model(), timeout=WAIT))
    assert spoken.result == "h\u00e9llo"
    drawn = ended(draw.request_job(draw.request_model(text="..."), timeout=WAIT))
    assert drawn.result == "Li4u"
    assert drawn.result_content_type == "image/x-dots"
    output = httpx.get(f"{laptop.url}/1/services2/{draw.id}/jobs/{drawn.id}/output")
    assert (output.status_code, output.headers["content-type"], output.content) == (200, "image/x-dots", b"...")


def test_the_jobs_of_a_service_are_listed_page_by_page_newest_first(ivcap: Any) -> None:
    service = service_of(ivcap, "say")
    made = [service.request_job(service.request_model(text=str(n)), timeout=WAIT).id for n in range(5)]
    listed: list[str] = []
    page: dict[str, Any] = {}
    while len(listed) < 5:
        answer: Any = service_job_list.sync_detailed(service.id, client=ivcap._client, limit=2, **page)
        listed += [item.id for item in answer.parsed.items]
        (following,) = [link.href for link in answer.parsed.links if link.rel == "next"] or [""]
        page = {"page": following.partition("?page=")[2]}
    assert listed[:5] == made[::-1]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda ivcap: ivcap.get_service("urn:ivcap:service:0").refresh(), 404),
        (lambda ivcap: ivcap.get_artifact("urn:ivcap:artifact:0"), 404),
        (lambda ivcap: ivcap.search("nothing"), 404),
        (lambda ivcap: service_of(ivcap, "count").request_job(Wrong("many"), timeout=1), 422),
    ],
    ids=["service", "artifact", "search", "request"],
)
def test_the_client_can_read_each_refusal(ivcap: Any, ask: Any, status: int) -> None:
    with pytest.raises(IvcapApiError) as refused:
        ask(ivcap)
    assert refused.value.status_code == status


def test_ids_are_taken_raw_and_encoded_and_jobs_belong_to_their_service(laptop: Laptop, ivcap: Any) -> None:
    count, say = service_of(ivcap, "count"), service_of(ivcap, "say")
    job = count.request_job(count.request_model(), timeout=WAIT)
    encoded = job.id.replace(":", "%3A")
    bare = job.id.rpartition(":")[2]
    for service_id in (count.id, count.id.replace(":", "%3A"), "count"):
        for job_id in (job.id, encoded, bare):
            answer = httpx.get(f"{laptop.url}/1/services2/{service_id}/jobs/{job_id}")
            assert answer.json()["id"] == job.id
    assert httpx.get(f"{laptop.url}/1/services2/{say.id}/jobs/{job.id}").status_code == 404
    assert httpx.get(f"{laptop.url}/1/services2/{say.id}/jobs/no%20job").status_code == 404


def test_a_record_can_be_asked_for_with_its_request(laptop: Laptop) -> None:
    posted = httpx.post(f"{laptop.url}/1/services2/say/jobs?with-result-content=true", json={"text": "x"})
    assert posted.status_code == 202
    location = posted.json()["location"]
    assert posted.headers["ivcap-job-id"] == posted.json()["job-id"]
    record = httpx.get(location, params={"with-request-content": "true"}).json()
    assert record["request-content"] == {"text": "x"}
    assert "request-content" not in httpx.get(location).json()


def test_a_tool_reads_and_makes_artifacts_of_the_service_that_runs_it(ivcap: Any, tmp_path: Path) -> None:
    file = tmp_path / "seven.bin"
    file.write_bytes(b"1234567")
    artifact = ivcap.upload_artifact(name="seven", file_path=str(file), content_type="application/x-seven")
    service = ivcap.get_service(MEASURE_ID)
    job = ended(service.request_job(service.request_model(artifact=artifact.id), timeout=WAIT))
    assert job.result["size"] == 7
    with ivcap.get_artifact(job.result["report"]).open() as report:
        assert report.read() == b"7 bytes"
