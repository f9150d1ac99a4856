"""What generators of clients make of the OpenAPI document, and how a linter finds it."""

import importlib
import json
import py_compile
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs_src import greet
from examples import echo, greeter, testkit, upload
from lambda_kit import ToolServer
from lambda_kit.testing import TestClient
from tests.openapi import keyed_service, rich_service
from tests.openapi.documents import operations
from tests.openapi.generating import NODE_TOOLS, generate_python_client, node_tool, run_tool
from tests.openapi.shop import service as shop
from tests.support.service_process import ServiceProcess

SERVERS = {
    "echo": echo.server,
    "greeter": greeter.server,
    "testkit": testkit.server,
    "upload": upload.server,
    "rich": rich_service.server,
    "shop": shop.server,
    "keyed": keyed_service.server,
}
NAMES = [name if name in ("rich", "keyed") else pytest.param(name, marks=pytest.mark.slow) for name in SERVERS]
DOCS = Path(__file__).parents[2] / "docs_src"

pytestmark = pytest.mark.timeout(400)


def written(name: str, folder: Path, server: ToolServer | None = None) -> Path:
    """The document of a service, in a file."""
    with TestClient(server or SERVERS[name]) as client:
        answer = client.get("/openapi.json")
    path = folder / f"{name}.json"
    path.write_bytes(answer.content)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_openapi_python_client_makes_a_function_for_each_operation(name, tmp_path):
    path = written(name, tmp_path)
    generate_python_client(path, tmp_path, "client")
    found = {file.stem for file in (tmp_path / "client" / "api").rglob("*.py")}
    assert {operation["operationId"] for _, _, operation in operations(json.loads(path.read_bytes()))} <= found


@pytest.mark.parametrize("name", NAMES)
def test_datamodel_codegen_makes_a_class_for_each_model(name, tmp_path):
    path = written(name, tmp_path)
    models = tmp_path / "models.py"
    options = [
        "--input-file-type",
        "openapi",
        "--output-model-type",
        "pydantic_v2.BaseModel",
        "--formatters",
        "builtin",
    ]
    run_tool(["datamodel-codegen", "--input", path, "--output", models, *options], cwd=tmp_path)
    py_compile.compile(str(models), doraise=True)
    classes = {line.split("(")[0].removeprefix("class ") for line in models.read_text().splitlines()}
    schemas = json.loads(path.read_bytes())["components"]["schemas"]
    assert {name.replace("_", "") for name in schemas} <= classes


def test_openapi_typescript_makes_types_that_compile(tmp_path):
    (tmp_path / "node_modules").symlink_to(NODE_TOOLS / "node_modules")
    for name in SERVERS:
        run_tool([*node_tool("openapi-typescript"), written(name, tmp_path), "-o", f"{name}.ts"], cwd=tmp_path)
    options = ["--noEmit", "--strict", "--skipLibCheck", "false"]
    run_tool([*node_tool("tsc"), *options, *(f"{name}.ts" for name in SERVERS)], cwd=tmp_path)
    types = (tmp_path / "rich.ts").read_text()
    assert 'shape: components["schemas"]["Circle"] | components["schemas"]["Rectangle"]' in types


def test_the_linter_of_redocly_finds_nothing(tmp_path):
    documents = [written(name, tmp_path) for name in SERVERS]
    said = run_tool([*node_tool("redocly"), "lint", "--config", NODE_TOOLS / "redocly.yaml", *documents], cwd=tmp_path)
    assert "warning" not in said.lower().replace("deprecation warning", ""), said


@pytest.mark.processes
def test_a_generated_python_client_gets_typed_results(tmp_path, monkeypatch):
    with ServiceProcess(Path(rich_service.__file__)) as service:
        path = tmp_path / "openapi.json"
        path.write_bytes(httpx.get(f"{service.url}/openapi.json").content)
        generate_python_client(path, tmp_path, "rich_client")
        monkeypatch.syspath_prepend(tmp_path)
        rich_client = importlib.import_module("rich_client")
        models: Any = importlib.import_module("rich_client.models")
        with rich_client.Client(base_url=service.url) as client:
            run: Any = importlib.import_module("rich_client.api.measure.run_measure")
            drawing = models.Drawing(
                shapes=[
                    models.Circle(kind="circle", radius=2.0),
                    models.Rectangle(kind="rectangle", width=2.0, height=4.0),
                ],
                tree=models.Node(label=models.Label(text="root")),
                priority=models.Priority.HIGH,
            )
            page = run.sync(client=client, body=drawing, timeout=60)
            assert isinstance(page, models.PageMeasured)
            assert [type(item.shape) for item in page.items] == [models.Circle, models.Rectangle]
            assert [item.area for item in page.items] == [12.0, 8.0]

            refused = run.sync(client=client, body=models.Drawing(shapes=[], tree=models.Node(models.Label(text=""))))
            assert isinstance(refused, models.Problem)
            assert refused.errors[0].loc == ["body", "tree", "label", "text"]

            picture: Any = importlib.import_module("rich_client.api.picture.run_picture")
            assert picture.sync(client=client, body=models.Size(width=3)).payload.read() == b"P1 3 1 1 1 1 "

            later = run.sync(client=client, body=drawing, prefer="respond-async, return=representation")
            assert isinstance(later, models.TryLater)
            collect: Any = importlib.import_module("rich_client.api.measure.collect_measure")
            job_id = later.location.rpartition("/")[2]
            assert collect.sync(job_id, client=client, prefer="wait=20") == page


@pytest.mark.processes
def test_a_generated_python_client_uploads_files(tmp_path, monkeypatch):
    with ServiceProcess(Path(upload.__file__)) as service:
        generate_python_client(written("upload", tmp_path), tmp_path, "upload_client")
        monkeypatch.syspath_prepend(tmp_path)
        upload_client = importlib.import_module("upload_client")
        models: Any = importlib.import_module("upload_client.models")
        files: Any = importlib.import_module("upload_client.types")
        with upload_client.Client(base_url=service.url) as client:
            count: Any = importlib.import_module("upload_client.api.uploads.run_count_words")
            texts = [files.File(BytesIO(text), name) for name, text in (("a.txt", b"one two"), ("b.txt", b"two"))]
            words = count.sync(client=client, body=models.RunCountWordsFilesBody(texts[0], more=texts[1:], at_least=2))
            assert (words.files, words.words) == (["a.txt", "b.txt"], 3)
            picture: Any = importlib.import_module("upload_client.api.uploads.run_picture")
            answer = picture.sync_detailed(client=client, body=files.File(BytesIO(bytes(9))))
            assert (answer.status_code, answer.content[:2]) == (200, b"P5")


@pytest.fixture(scope="module")
def greeter_service():
    with ServiceProcess(Path(greet.__file__)) as service:
        yield service


@pytest.mark.processes
def test_the_polling_clients_of_the_docs_get_the_result(greeter_service, tmp_path):
    for python_or_node, script in (([sys.executable], "poll.py"), (node_tool("node"), "poll.mjs")):
        said = run_tool([*python_or_node, DOCS / script, greeter_service.url], cwd=tmp_path)
        assert said == "Hello, Ada! Hello, Ada!\n"


@pytest.mark.processes
def test_the_python_client_of_the_docs_gets_the_result(greeter_service, tmp_path):
    generate_python_client(written("greet", tmp_path, greet.server), tmp_path, "greeter_client")
    (tmp_path / "typed_client.py").write_bytes((DOCS / "typed_client.py").read_bytes())
    assert (
        run_tool([sys.executable, "typed_client.py", greeter_service.url], cwd=tmp_path) == "Hello, Ada! Hello, Ada!\n"
    )


@pytest.mark.processes
def test_the_typescript_client_of_the_docs_compiles_and_gets_the_result(greeter_service, tmp_path):
    (tmp_path / "node_modules").symlink_to(NODE_TOOLS / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name in ("typed_client.ts", "tsconfig.json"):
        source = (NODE_TOOLS if name == "tsconfig.json" else DOCS) / name
        (tmp_path / name).write_bytes(source.read_bytes())
    path = written("greet", tmp_path, greet.server)
    options = ["--default-non-nullable=false", "-o", "greeter.ts"]
    run_tool([*node_tool("openapi-typescript"), path, *options], cwd=tmp_path)
    run_tool(node_tool("tsc"), cwd=tmp_path)
    said = run_tool([*node_tool("node"), "typed_client.js", greeter_service.url], cwd=tmp_path)
    assert said == "Hello, Ada! Hello, Ada!\n"
