"""docs/wire.md, Routes: `/openapi.json` and the page `/api`."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.openapi.documents import Document, operations, references, resolve
from tests.wire.service import server

TOOL_PATHS = [tool.path for tool in server.tools.values()]
KINDS = ["/", "/greet", "/struct-tool", "/data-tool", "/brief"]
POST_STATUSES = {"200", "202", "204", "400", "403", "409", "413", "415", "422", "429", "500", "503", "504"}
LATER_HEADERS = {"Location", "Retry-Later", "Retry-After", "job-id", "Ivcap-Self-Report-Result"}


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> Document:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert "json" in answer.headers["content-type"]
    content: Document = answer.json()
    return content


def resolved(document: Document, schema: Document) -> Any:
    return resolve(document, schema["$ref"]) if "$ref" in schema else schema


def test_the_document_is_valid_openapi_3_1(document):
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    # tools of one kind are described alike, and the validator takes its time
    paths = {path: item for path, item in document["paths"].items() if path not in TOOL_PATHS or path in KINDS}
    validator = OpenAPIV31SpecValidator({**document, "paths": paths})
    errors = [f"{list(error.path)}: {error.message}"[:300] for error in validator.iter_errors()]
    assert errors == []


def test_every_reference_leads_to_a_schema(document):
    found = list(references(document))
    assert all(isinstance(resolve(document, reference), dict) for reference in found)


def test_the_schema_of_an_error_is_there_once(document):
    assert json.dumps(document).count("urn:ivcap:schema.ai-tool.error.1") == 1
    problems = {
        reference
        for _, _, operation in operations(document)
        for response in operation["responses"].values()
        for reference in references(response.get("content", {}).get("application/problem+json", {}))
    }
    (problem,) = problems
    assert resolve(document, problem)["title"] == "Problem"


def test_the_document_says_whose_service_it_is(document):
    info = document["info"]
    assert info["title"] == "My IVCAP Service"
    assert info["contact"] == {"name": "Alice", "email": "alice@example.com"}
    assert info["license"]["name"] == "MIT"


def test_every_route_is_documented_and_nothing_else(document, client_with_options):
    expected = {(path, method) for path in TOOL_PATHS for method in ("get", "post")}
    expected |= {(f"{path}/jobs/{{job_id}}", "get") for path in TOOL_PATHS if path != "/"}
    expected |= {("/jobs/{job_id}" + below, "get") for below in ("", "/status", "/events")}
    expected |= {("/jobs/{job_id}", "delete"), ("/_healtz", "get"), ("/_livez", "get"), ("/metrics", "get")}
    found = {(path, method) for path, method, _ in operations(document)}
    assert found == expected
    with_list = client_with_options.get("/openapi.json").json()
    assert {(path, method) for path, method, _ in operations(with_list)} == expected | {("/jobs", "get")}


def test_operation_ids_are_unique_and_path_parameters_are_declared(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for path, _, operation in operations(document):
        declared = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        assert declared == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("path", TOOL_PATHS)
def test_a_tool_is_documented_with_all_its_answers(document, path):
    operation = document["paths"][path]["post"]
    responses = operation["responses"]
    assert set(responses) >= POST_STATUSES
    assert "job-id" in responses["200"]["headers"]
    for status in ("202", "204"):
        assert set(responses[status]["headers"]) >= LATER_HEADERS
    assert "content" not in responses["204"]
    later = resolved(document, responses["202"]["content"]["application/json"]["schema"])
    assert set(later["properties"]) == {"job-id", "status", "location", "retry-later"}
    for status in POST_STATUSES - {"200", "202", "204"}:
        assert list(responses[status]["content"]) == ["application/problem+json"]
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]


def test_a_path_with_a_job_says_what_an_id_looks_like(document):
    ids = [
        parameter["schema"]["pattern"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] in ("job_id", "job-id")
    ]
    assert ids
    for pattern in ids:
        for job_id in ("a", "urn:ivcap:job:a.b:c-1_", "x" * 128, "..."):
            assert re.search(pattern, job_id), job_id
        for no_id in ("", ".", "..", "a b", "a/b", "x" * 129, "urn:ivcap:job:"):
            assert not re.search(pattern, no_id), no_id


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/greet/jobs/{job_id}", "get", {"200", "202", "204", "400", "403", "404", "410", "500", "503", "504"}),
        ("/jobs/{job_id}", "get", {"200", "202", "204", "400", "403", "404", "410", "500", "503", "504"}),
        ("/jobs/{job_id}/status", "get", {"200", "400", "403", "404", "503"}),
        ("/jobs/{job_id}/events", "get", {"200", "204", "400", "403", "404", "503"}),
        ("/jobs/{job_id}", "delete", {"200", "202", "400", "403", "404", "409", "503"}),
        ("/_healtz", "get", {"200", "503"}),
    ],
)
def test_a_route_is_documented_with_all_its_answers(document, path, method, statuses):
    assert set(document["paths"][path][method]["responses"]) >= statuses


@pytest.mark.parametrize("path", TOOL_PATHS)
def test_the_request_headers_of_a_tool_are_documented(document, path):
    parameters = document["paths"][path]["post"]["parameters"]
    headers = {parameter["name"] for parameter in parameters if parameter["in"] == "header"}
    # Authorization and Content-Type are no parameters in OpenAPI
    assert headers >= {"job-id", "Idempotency-Key", "Timeout", "Prefer", "Job-Time-Limit", "traceparent"}


def test_every_answer_is_documented_with_the_version(document):
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            assert "Ivcap-AI-Tool-Version" in response.get("headers", {}), (path, method, status)


def test_request_and_result_schemas_are_those_of_the_models(document):
    operation = document["paths"]["/greet"]["post"]
    request = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
    assert request["required"] == ["name"]
    assert request["properties"]["count"]["minimum"] == 1
    assert request["properties"]["$schema"]["default"] == "urn:example:schema:greet.request.1"
    assert operation["requestBody"]["required"] is True
    result = resolved(document, operation["responses"]["200"]["content"]["application/json"]["schema"])
    assert "greeting" in result["properties"]
    assert result["properties"]["$schema"]["default"] == "urn:example:schema:greet.1"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/brief", "text/plain"), ("/returns", "application/json"), ("/struct-tool", "application/json")],
)
def test_the_media_type_of_a_result_is_documented(document, path, media_type):
    assert list(document["paths"][path]["post"]["responses"]["200"]["content"]) == [media_type]


def test_schemas_of_msgspec_and_dataclasses_have_their_fields(document):
    for path in ("/struct-tool", "/data-tool"):
        schema = resolved(
            document, document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        )
        assert {"text", "count"} <= set(schema["properties"])


def test_the_result_of_a_struct_has_its_names_on_the_wire(document):
    result = document["paths"]["/struct-tool"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    names = json.dumps(resolved(document, result))
    assert "plusOne" in names
    assert "plus_one" not in names


def test_a_tool_at_the_root_leaves_the_page_and_the_document_alone(client):
    assert client.get("/").json()["name"] == "root"
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert client.get("/api").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("place", ["/api", "/api/", "/api//"])
def test_the_page_works_without_the_internet(client, place):
    answer = client.get(place)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", answer.text)
    linked = [url for tag in tags for url in re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", tag)]
    assert not re.search(r"""(?:@import|url\()\s*["']?https?:""", answer.text)
    assets = [url for url in linked if not url.startswith("data:")]
    assert len(assets) >= 2
    for url in assets:
        assert not re.match(r"(https?:)?//", url), url
        asset = client.get(urljoin(str(answer.url), url))
        assert (asset.status_code, len(asset.content) > 1000) == (200, True), url
        expected = "css" if url.endswith("css") else "javascript"
        assert expected in asset.headers["content-type"]


def test_what_runs_a_tool_comes_first_in_the_document_and_on_the_page(client, document):
    paths = document["paths"]
    assert list(paths["/echo"]) == ["post", "get"]
    places = list(paths)
    assert places.index("/echo") + 1 == places.index("/echo/jobs/{job_id}")
    assert places.index("/jobs/{job_id}") > max(places.index(path) for path in places if "post" in paths[path])
    page = client.get("/api").text
    assert page.index('"/echo"') < page.index('"/echo/jobs/{job_id}"')
    assert client.get("/api/openapi.json").json()["paths"].keys() == paths.keys()


def test_the_page_shows_the_document(client):
    page = client.get("/api").text
    assert "openapi.json" in page or '"paths"' in page
    assert "SwaggerUIBundle" in page


def test_an_asset_outside_of_the_folder_is_not_served(client):
    for url in ("/api/assets/../../__init__.py", "/api/assets/..%2f..%2f__init__.py", "/api/assets/%2e%2e/__init__.py"):
        assert client.get(url).status_code == 404
