"""Files by `multipart/form-data` and by JSON, to a tool whose request has them."""

import base64
import hashlib
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.raw_http import ask
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, eventually, new_id
from tests.wire.uploads import left_in, upload_service

SECONDS = 60
MEGABYTE = 2**20
BOUNDARY = "----x"


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Generator[ServiceProcess]:
    options = f"max_upload_bytes={8 * MEGABYTE}, max_body_bytes={2 * MEGABYTE}"
    file = upload_service(tmp_path_factory.mktemp("uploads"), options=options)
    with ServiceProcess(file, env={"TMPDIR": str(temporary)}) as process:
        yield process


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Generator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=SECONDS) as session:
        yield session


def raw_form(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts: what follows ``Content-Disposition: form-data``, and the content."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data{head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


def post_raw(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return client.post("/look", content=body, headers=headers)


def a_file(content: bytes = b"hi", name: str = "a.txt", kind: str = "text/plain") -> tuple[str, bytes, str]:
    return name, content, kind


def assert_refused(answer: httpx.Response, *loc: str | int) -> None:
    errors = assert_problem(answer, 422)["errors"]
    assert [error["loc"] for error in errors] == [["body", *loc]], errors


# files


def test_a_file_is_handed_to_the_tool(client: httpx.Client) -> None:
    seen = client.post("/look", files={"file": a_file(b"content")}).json()["file"]
    digest = hashlib.sha256(b"content").hexdigest()
    assert seen == {"name": "a.txt", "type": "text/plain", "size": 7, "sha256": digest, "suffix": ".txt"}


def test_a_large_file_is_whole_and_is_gone_when_its_job_has_ended(client: httpx.Client, temporary: Path) -> None:
    content = bytes(range(256)) * 4096 * 6
    seen = client.post("/look", files={"file": a_file(content, "a.bin", "x/y")}).json()["file"]
    digest = hashlib.sha256(content).hexdigest()
    assert seen == {"name": "a.bin", "type": "x/y", "size": len(content), "sha256": digest, "suffix": ".bin"}
    assert left_in(temporary) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_takes_any_number_of_files(client: httpx.Client, count: int) -> None:
    files = [("file", a_file()), *(("more", a_file(b"%d" % n)) for n in range(count))]
    seen = client.post("/look", files=files).json()["more"]
    assert [file["sha256"] for file in seen] == [hashlib.sha256(b"%d" % n).hexdigest() for n in range(count)]


def test_a_missing_file_is_refused(client: httpx.Client) -> None:
    assert_refused(client.post("/look", files={"more": a_file()}), "file")


def test_an_input_for_a_file_that_was_left_empty_is_absent(client: httpx.Client) -> None:
    empty = '; name="{}"; filename=""\r\nContent-Type: application/octet-stream'
    body = raw_form(('; name="file"; filename="a"', b"1"), (empty.format("extra"), b""), (empty.format("more"), b""))
    answer = post_raw(client, body)
    assert (answer.json()["extra"], answer.json()["more"]) == (None, [])
    assert_refused(post_raw(client, raw_form((empty.format("file"), b""))), "file")


def test_an_empty_file_with_a_name_is_a_file(client: httpx.Client) -> None:
    assert client.post("/look", files={"file": a_file(b"")}).json()["file"]["size"] == 0


def test_two_files_for_one_are_refused(client: httpx.Client) -> None:
    assert_refused(client.post("/look", files=[("file", a_file()), ("file", a_file())]), "file")


def test_a_part_without_a_type_is_a_file_of_unknown_type(client: httpx.Client) -> None:
    seen = post_raw(client, raw_form(('; name="file"', b"\xff")))
    assert (seen.json()["file"]["name"], seen.json()["file"]["type"]) == (None, "application/octet-stream")


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        (r'filename="C:\d\f.txt"', "f.txt"),
        ('filename="a%22b"', 'a"b'),
        ('filename="ünïcode €.txt"', "ünïcode €.txt"),
        ("filename*=utf-8''x.txt; filename=\"y.txt\"", "y.txt"),
        ('filename="../../x"', "x"),
        ('filename="a\x00b\x07.txt"', "ab.txt"),
        (f'filename="{"n" * 3000}.png"', "n" * 251 + ".png"),
        ("filename=\"a;b='c'.txt\"", "a;b='c'.txt"),
        ("filename=plain.txt", "plain.txt"),
        ('filename=".."', None),
        ('filename="dir\\"', None),
        ('filename="open', "open"),
    ],
)
def test_the_name_of_a_file_is_its_last_component_without_what_is_dangerous(
    client: httpx.Client, parameter: str, name: str | None
) -> None:
    answer = post_raw(client, raw_form((f'; name="file"; {parameter}', b"1")))
    assert answer.json()["file"]["name"] == name


# the other fields


def test_text_is_taken_as_the_field_takes_it(client: httpx.Client) -> None:
    fields = {
        "count": "5",
        "text": "12",
        "day": "2024-02-29",
        "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "colour": "red",
        "is_on": "true",
        "tags": ["a", "b,c"],
        "numbers": ["1", "2"],
        "points": '[{"x": 1}, {"x": 2}]',
        "point": '{"x": 3}',
    }
    seen = client.post("/look", data=fields, files={"file": a_file()}).json()
    expected = {
        **fields,
        "count": 5,
        "is_on": True,
        "numbers": [1, 2],
        "points": [{"x": 1}, {"x": 2}],
        "point": {"x": 3},
    }
    assert {name: seen[name] for name in fields} == expected


def test_one_part_makes_a_list_of_one(client: httpx.Client) -> None:
    seen = client.post("/look", data={"tags": "a", "numbers": "7"}, files={"file": a_file()}).json()
    assert (seen["tags"], seen["numbers"]) == (["a"], [7])


def test_parts_of_type_json_are_read_as_json(client: httpx.Client) -> None:
    files: list[Any] = [
        ("file", a_file()),
        ("point", (None, '{"x": 3}', "application/json")),
        ("points", (None, '{"x": 4}', "application/json")),
        ("points", (None, '{"x": 5}', "application/json")),
        ("text", (None, '"quoted"', "application/json")),
    ]
    seen = client.post("/look", files=files).json()
    assert (seen["point"], seen["points"], seen["text"]) == ({"x": 3}, [{"x": 4}, {"x": 5}], "quoted")


def test_empty_text_is_absent_where_the_field_is_optional_and_no_string(client: httpx.Client) -> None:
    empty: dict[str, str] = dict.fromkeys(("count", "text", "day", "id", "is_on", "point", "numbers"), "")
    seen = client.post("/look", data=empty, files={"file": a_file()}).json()
    assert seen["text"] == ""
    assert (seen["count"], seen["day"], seen["id"], seen["is_on"], seen["point"]) == (1, None, None, False, None)
    assert seen["numbers"] == []


@pytest.mark.parametrize(
    ("field", "value", "loc"),
    [
        ("count", "many", ["count"]),
        ("count", ["1", "2"], ["count"]),
        ("day", "today", ["day"]),
        ("colour", "blue", ["colour"]),
        ("numbers", ["1", "two"], ["numbers", 1]),
        ("points", '[{"x": 1}, {"x": "y"}]', ["points", 1, "x"]),
        ("point", "{", ["point"]),
        ("point", '{"x": ' * 50_000, ["point"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    client: httpx.Client, field: str, value: Any, loc: list[str | int]
) -> None:
    assert_refused(client.post("/look", data={field: value}, files={"file": a_file()}), *loc)


def test_text_that_is_not_utf8_is_refused_with_its_place(client: httpx.Client) -> None:
    body = raw_form(('; name="file"', b"1"), ('; name="text"', b"\xff"))
    assert_refused(post_raw(client, body), "text")
    latin = ('; name="text"\r\nContent-Type: text/plain; charset=iso-8859-1', b"\xe9")
    assert post_raw(client, raw_form(('; name="file"', b"1"), latin)).json()["text"] == "é"


# json


def test_a_file_in_json_is_base64(client: httpx.Client) -> None:
    content = base64.b64encode(b"hi").decode()
    whole = {"filename": "../a.txt", "content_type": "text/plain", "content": content}
    seen = client.post("/look", json={"file": whole, "more": [content], "count": 2}).json()
    assert (seen["file"]["name"], seen["file"]["type"], seen["file"]["size"]) == ("a.txt", "text/plain", 2)
    assert (seen["more"][0]["name"], seen["more"][0]["type"], seen["count"]) == (None, "application/octet-stream", 2)


@pytest.mark.parametrize("value", ["no base64!", 5, {"content": 5}, {"content": "aGk=", "name": "x"}, None, {}])
def test_what_is_no_file_in_json_is_refused(client: httpx.Client, value: Any) -> None:
    assert_refused(client.post("/look", json={"file": value}), "file")


# the same form


def test_a_form_sent_twice_attaches_though_its_boundary_is_another(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": new_id()}
    sent = {"file": a_file(b"one")}
    first = client.post("/look", files=sent, data={"count": "2"}, headers=headers)
    again = client.post("/look", files=sent, data={"count": "2"}, headers=headers)
    assert again.headers["job-id"] == first.headers["job-id"]
    assert again.content == first.content


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ({"file": a_file(b"two")}, {"count": "2"}),
        ({"file": a_file(b"one", "b.txt")}, {"count": "2"}),
        ({"file": a_file(b"one", kind="text/html")}, {"count": "2"}),
        ({"file": a_file(b"one")}, {"count": "3"}),
        ({"file": a_file(b"one")}, {}),
    ],
)
def test_another_form_conflicts(client: httpx.Client, files: Any, fields: dict[str, str]) -> None:
    headers = {"job-id": new_id()}
    assert client.post("/look", files={"file": a_file(b"one")}, data={"count": "2"}, headers=headers).status_code == 200
    assert_problem(client.post("/look", files=files, data=fields, headers=headers), 409)


# what is malformed, and what is too large


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        raw_form(('; name="file"', b"1"))[:-6],
        raw_form(("", b"1")),
        raw_form(('; name="file"\r\nnonsense', b"1")),
        raw_form(('; name="file"\r\nX: 1\r\n folded', b"1")),
        raw_form((f'; name="file"; filename="{"x" * 20_000}"', b"1")),
        raw_form(*[('; name="more"', b"1")] * 1001),
    ],
)
def test_a_malformed_form_is_refused(client: httpx.Client, body: bytes) -> None:
    assert_problem(post_raw(client, body), 400)


def test_a_form_without_a_boundary_is_refused(client: httpx.Client) -> None:
    body = raw_form(('; name="file"', b"1"))
    assert_problem(post_raw(client, body, **{"Content-Type": "multipart/form-data"}), 400)
    refused = post_raw(client, body, **{"Content-Type": "multipart/mixed; boundary=x"})
    assert "multipart/form-data" in assert_problem(refused, 415)["detail"]


def test_a_thousand_parts_are_taken(client: httpx.Client) -> None:
    body = raw_form(('; name="file"', b"1"), *[('; name="more"', b"1")] * 999)
    assert len(post_raw(client, body).json()["more"]) == 999


def test_parts_over_the_limit_are_refused(client: httpx.Client, temporary: Path) -> None:
    assert client.post("/look", files={"file": a_file(b"x" * (8 * MEGABYTE))}).status_code == 200
    assert_problem(client.post("/look", files={"file": a_file(b"x" * (8 * MEGABYTE + 1))}), 413)
    too_long_a_text: dict[str, Any] = {"file": a_file(), "text": (None, "x" * (2 * MEGABYTE + 1))}
    assert_problem(client.post("/look", files=too_long_a_text), 413)
    assert left_in(temporary) == []


def test_a_form_that_says_that_it_is_too_large_is_refused_at_once(service: ServiceProcess) -> None:
    head = f"POST /look HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    answer = ask(service.port, [f"{head}Content-Length: {64 * MEGABYTE}\r\n\r\n".encode()])
    assert answer.status == 413


# nothing is left


def test_nothing_is_left_of_forms_that_made_no_job(client: httpx.Client, temporary: Path) -> None:
    large = a_file(b"x" * (2 * MEGABYTE))
    assert_problem(client.post("/look", files={"file": large}, data={"count": "many"}), 422)
    headers = {"job-id": new_id()}
    assert client.post("/look", files={"file": large}, headers=headers).status_code == 200
    assert client.post("/look", files={"file": large}, headers=headers).status_code == 200
    assert_problem(client.post("/look", files={"file": large, "more": a_file()}, headers=headers), 409)
    assert_problem(client.post("/fail", files={"file": large}), 500, job=True)
    assert left_in(temporary) == []


def test_a_job_has_its_files_until_it_is_cancelled(client: httpx.Client, temporary: Path) -> None:
    large = {"file": a_file(b"x" * (2 * MEGABYTE))}
    jobs = [client.post("/hold", files=large, headers={"Prefer": "respond-async"}) for _ in range(2)]
    assert_problem(client.post("/hold", files=large), 429)
    assert len(left_in(temporary)) == 2
    for job in reversed(jobs):
        client.delete(f"/jobs/{job.headers['job-id']}")
        eventually(lambda: client.get(job.headers["location"]), lambda answer: answer.status_code == 410)  # noqa: B023
    assert left_in(temporary) == []


def test_nothing_is_left_of_an_upload_that_is_given_up(
    service: ServiceProcess, client: httpx.Client, temporary: Path
) -> None:
    head = f"POST /look HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    body = raw_form(('; name="file"', b"x" * (4 * MEGABYTE)))
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[: 3 * MEGABYTE])
        eventually(lambda: client.get("/_livez"), lambda _: left_in(temporary) != [])
    eventually(lambda: client.get("/_livez"), lambda _: left_in(temporary) == [])
    assert left_in(temporary) == []


# the description


def test_the_document_has_a_form_with_choosers_for_files_beside_the_json(client: httpx.Client) -> None:
    content = client.get("/openapi.json").json()["paths"]["/look"]["post"]["requestBody"]["content"]
    assert list(content) == ["multipart/form-data", "application/json"]
    form = content["multipart/form-data"]
    file = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    properties = form["schema"]["properties"]
    assert properties["file"] == file
    assert properties["extra"] == file
    assert (properties["more"]["type"], properties["more"]["items"]) == ("array", file)
    assert (properties["day"]["type"], properties["day"]["format"]) == ("string", "date")
    assert form["schema"]["required"] == ["file"]
    as_json, as_parts = {"contentType": "application/json"}, {"style": "form", "explode": True}
    encoding = {"tags": as_parts, "numbers": as_parts, "points": as_json, "point": as_json}
    assert form["encoding"] == encoding


def test_an_agent_is_told_of_base64(client: httpx.Client) -> None:
    described = client.get("/look").json()["fn_schema"]
    file = described["$defs"]["UploadedFile"]
    assert [choice.get("contentEncoding", choice["type"]) for choice in file["anyOf"]] == ["object", "base64"]
