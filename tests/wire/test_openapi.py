"""docs/wire.md, Routes: `/openapi.json` and the page `/api`."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.wire.service import server

TOOL_PATHS = [tool.path for tool in server.tools.values()]
KINDS = ["/", "/greet", "/struct-tool", "/data-tool", "/brief"]
POST_STATUSES = {"200", "202", "204", "400", "409", "413", "415", "422", "429", "500", "503", "504"}
LATER_HEADERS = {"Location", "Retry-Later", "Retry-After", "job-id", "Ivcap-Self-Report-Result"}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> Document:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert "json" in answer.headers["content-type"]
    content: Document = answer.json()
    return content


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Document, reference: str) -> Any:
    node: Any = document
    assert reference.startswith("#/"), f"{reference} leads out of the document"
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield path, method, item[method]


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
    assert set(responses["202"]["content"]["application/json"]["schema"]["properties"]) == {
        "job-id", "status", "location", "retry-later",
    }  # fmt: skip
    for status in POST_STATUSES - {"200", "202", "204"}:
        assert list(responses[status]["content"]) == ["application/problem+json"]
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]


@pytest.mark.parametrize("path", TOOL_PATHS)
def test_the_request_headers_of_a_tool_are_documented(document, path):
    parameters = document["paths"][path]["post"]["parameters"]
    headers = {parameter["name"] for parameter in parameters if parameter["in"] == "header"}
    # Authorization and Content-Type are no parameters in OpenAPI
    assert headers >= {"job-id", "Idempotency-Key", "Timeout", "Prefer", "traceparent"}


def test_every_answer_is_documented_with_the_version(document):
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            assert "Ivcap-AI-Tool-Version" in response.get("headers", {}), (path, method, status)


def test_request_and_result_schemas_are_those_of_the_models(document):
    operation = document["paths"]["/greet"]["post"]
    request = operation["requestBody"]["content"]["application/json"]["schema"]
    assert request["required"] == ["name"]
    assert request["properties"]["count"]["minimum"] == 1
    assert request["properties"]["$schema"]["default"] == "urn:example:schema:greet.request.1"
    assert operation["requestBody"]["required"] is True
    result = operation["responses"]["200"]["content"]["application/json"]["schema"]
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
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for reference in references(schema):
            schema = resolve(document, reference)
        assert {"text", "count"} <= set(schema["properties"])


def test_the_result_of_a_struct_has_its_names_on_the_wire(document):
    operation = json.dumps(document["paths"]["/struct-tool"]["post"]["responses"]["200"])
    assert "plusOne" in operation
    assert "plus_one" not in operation


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
