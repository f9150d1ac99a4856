"""Artifacts in a folder, by the real client and by TUS requests of any kind."""

import base64
import io
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from ivcap_client.artifact import TarMember

from tests.platform.conftest import Laptop
from tests.support.service_process import ServiceProcess

# the client of TUS leaves the files that it reads to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ODD_NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "a/b\\c",
    "\u00fc \u2028 \U0001f4a5",
    "\x00\n\r",
    "..",
    ".",
    "CON",
    "x" * 1024,
]
TUS = {"Tus-Resumable": "1.0.0"}


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def create(laptop: ServiceProcess, length: int | None = None, **headers: str) -> httpx.Response:
    fields = {"X-Content-Type": "text/plain", "X-Content-Length": "-1" if length is None else str(length)}
    return httpx.post(f"{laptop.url}/1/artifacts", headers=fields | TUS | headers)


def blob(laptop: ServiceProcess, length: int | None = None) -> str:
    """Where the bytes of a new artifact are to be sent."""
    href: str = create(laptop, length).json()["data-href"]
    return href


def patch(url: str, offset: int | str, content: bytes, **headers: str) -> httpx.Response:
    fields = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"} | TUS | headers
    return httpx.patch(url, headers=fields, content=content)


def offset_of(url: str) -> str:
    return httpx.head(url, headers=TUS).headers["upload-offset"]


def status_of(url: str) -> str:
    status: str = httpx.get(url.removesuffix("/blob")).json()["status"]
    return status


@pytest.mark.parametrize("chunk_size", [100_000, 10_000_000])
def test_a_file_goes_up_in_pieces_and_comes_down_as_it_was(ivcap: Any, tmp_path: Path, chunk_size: int) -> None:
    content = os.urandom(1_234_567)
    file = tmp_path / "data.bin"
    file.write_bytes(content)
    made = ivcap.upload_artifact(
        name="some data", file_path=str(file), content_type="application/x-data", chunk_size=chunk_size
    )
    artifact = ivcap.get_artifact(made.id)
    assert (artifact.name, artifact.size, artifact.mime_type) == ("some data", len(content), "application/x-data")
    assert artifact.status == "ready"
    with artifact.open() as opened:
        assert opened.read() == content
    assert b"".join(artifact.as_stream()) == content
    with artifact.as_local_file() as path:
        assert path.read_bytes() == content
    assert ivcap.upload_artifact(name="again", file_path=str(file)).id == made.id


def test_streams_and_empty_files_go_up_too(ivcap: Any, tmp_path: Path) -> None:
    stream = ivcap.upload_artifact(name="s", io_stream=io.BytesIO(b"stream"), content_type="text/plain")
    assert (stream.status, stream.size) == ("ready", 6)
    empty = tmp_path / "empty.txt"
    empty.touch()
    artifact = ivcap.upload_artifact(name="e", file_path=str(empty))
    assert artifact.status == "ready"
    with artifact.open() as opened:
        assert opened.read() == b""


def test_an_archive_goes_up_while_it_is_made(ivcap: Any, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    members = [TarMember.from_bytes(content, "noise.bin"), TarMember.from_bytes(b"{}", "a/b.json")]
    artifact = ivcap.upload_tar_artifact(members, name="both.tar.gz", chunk_size=64 * 1024)
    assert artifact.status == "ready"
    artifact.untar(tmp_path / "out")
    assert (tmp_path / "out/noise.bin").read_bytes() == content
    with artifact.open() as opened, tarfile.open(fileobj=io.BytesIO(opened.read())) as archive:
        assert archive.getnames() == ["noise.bin", "a/b.json"]


def test_artifacts_are_listed_page_by_page_newest_first_and_by_name(ivcap: Any) -> None:
    made = [
        ivcap.upload_artifact(name=f"listed {n}.txt", io_stream=io.BytesIO(b"x"), content_type="text/plain").id
        for n in range(3)
    ]
    assert [artifact.id for artifact in ivcap.list_artifacts(limit=2)] == made[:0:-1]
    assert [artifact.id for artifact in ivcap.list_artifacts(filter="name~='listed%'")] == made[::-1]
    assert [artifact.id for artifact in ivcap.list_artifacts(filter="name='listed 1.txt'")] == [made[1]]


def test_all_pages_together_are_the_list(laptop: Laptop) -> None:
    for _ in range(3):
        create(laptop)
    whole = [item["id"] for item in httpx.get(f"{laptop.url}/1/artifacts?limit=1000").json()["items"]]
    paged: list[str] = []
    url = f"{laptop.url}/1/artifacts"
    while url:
        answer = httpx.get(url, params=httpx.URL(url).params.merge({"limit": "2"})).json()
        paged += [item["id"] for item in answer["items"]]
        url = next((link["href"] for link in answer["links"] if link["rel"] == "next"), "")
    assert paged == whole


def test_metadata_are_aspects_that_can_be_replaced_and_retracted(ivcap: Any) -> None:
    artifact = ivcap.upload_artifact(name="m", io_stream=io.BytesIO(b"x"), content_type="text/plain")
    artifact.add_metadata({"$schema": "urn:test:schema:m.1", "version": 1})
    assert [aspect.content["version"] for aspect in artifact.metadata] == [1]
    ivcap.update_aspect(artifact.id, {"version": 2}, schema="urn:test:schema:m.1")
    (aspect,) = ivcap.list_aspects(entity=artifact.id, schema="urn:test:%")
    assert aspect.content["version"] == 2
    aspect.retract()
    assert aspect.valid_to is not None
    assert list(artifact.metadata) == []


# --- names and ids that want to be paths ---


@pytest.mark.parametrize("name", ODD_NAMES, ids=[f"name {n}" for n in range(len(ODD_NAMES))])
def test_a_name_is_kept_as_it_is_and_is_never_a_path(laptop: Laptop, name: str) -> None:
    encoded = base64.b64encode(name.encode()).decode()
    artifact = create(laptop, 2, **{"X-Name": encoded}).json()
    assert patch(artifact["data-href"], 0, b"ok").status_code == 204
    assert httpx.get(artifact["data-href"]).content == b"ok"
    assert httpx.get(f"{laptop.url}/1/artifacts/{artifact['id']}").json()["name"] == name
    assert files_below(laptop.artifacts.parent) <= {"content", "artifact.json"} | aspects_of(laptop)


def aspects_of(laptop: Laptop) -> set[str]:
    return files_below(laptop.artifacts / "aspects")


@pytest.mark.parametrize(
    "artifact_id",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "urn:ivcap:artifact:..",
        "urn:ivcap:artifact:../x",
        "aspects",
        "x%00",
        "A" * 3000,
    ],
)
def test_an_id_that_is_none_is_not_found_whatever_is_done_with_it(laptop: Laptop, artifact_id: str) -> None:
    before = files_below(laptop.artifacts.parent)
    path = f"/1/artifacts/{artifact_id}"
    append = "Upload-Offset: 0\r\nContent-Length: 0\r\nContent-Type: application/offset+octet-stream\r\n"
    for line, fields in ((f"GET {path}", ""), (f"GET {path}/blob", ""), (f"PATCH {path}/blob", append)):
        assert b" 404 " in status_line(laptop, f"{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"), line
    assert files_below(laptop.artifacts.parent) == before


def status_line(laptop: Laptop, request: str) -> bytes:
    """What a request is answered that httpx would have made another path of."""
    with socket.create_connection(("127.0.0.1", laptop.port), timeout=30) as sock:
        sock.sendall(request.encode())
        return sock.recv(65536).partition(b"\r\n")[0]


def test_a_link_in_the_folder_leads_nowhere(laptop: Laptop, tmp_path: Path) -> None:
    href = blob(laptop)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    content = laptop.artifacts / href.split(":")[-1].removesuffix("/blob") / "content"
    content.unlink()
    content.symlink_to(secret)
    assert httpx.get(href).status_code == 404
    assert patch(href, 0, b"x").status_code == 404
    assert secret.read_text() == "secret"


# --- TUS ---


def test_bytes_are_appended_only_where_they_belong(laptop: Laptop) -> None:
    href = blob(laptop, 6)
    assert status_of(href) == "pending"
    first = patch(href, 0, b"abc")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "3")
    assert status_of(href) == "partial"
    for offset in (0, 2, 4, 10**15):
        wrong = patch(href, offset, b"zzz")
        assert (wrong.status_code, wrong.headers["upload-offset"]) == (409, "3")
    assert patch(href, 3, b"def").headers["upload-offset"] == "6"
    assert status_of(href) == "ready"
    assert httpx.get(href).content == b"abcdef"


def test_an_upload_that_breaks_off_goes_on_where_it_broke(laptop: Laptop) -> None:
    href = blob(laptop, 3_000_000)
    path = httpx.URL(href).path
    with socket.create_connection(("127.0.0.1", laptop.port), timeout=30) as sock:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: 3000000\r\n"
        sock.sendall(f"{head}Content-Type: application/offset+octet-stream\r\n\r\n".encode() + b"a" * 2_000_000)
    while (sent := patch(href, offset := int(offset_of(href)), b"b" * (3_000_000 - offset))).status_code in (409, 423):
        continue  # the service may still be writing what came
    assert sent.status_code == 204
    content = httpx.get(href).content
    assert content == b"a" * offset + b"b" * (3_000_000 - offset)
    assert status_of(href) == "ready"


def test_two_requests_never_write_at_once(laptop: Laptop) -> None:
    href = blob(laptop, 2_000_000)
    path = httpx.URL(href).path
    with socket.create_connection(("127.0.0.1", laptop.port), timeout=30) as sock:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: 2000000\r\n"
        sock.sendall(f"{head}Content-Type: application/offset+octet-stream\r\n\r\n".encode() + b"a" * 1_999_999)
        while offset_of(href) == "0":
            continue
        assert patch(href, int(offset_of(href)), b"b").status_code in (409, 423)
        sock.sendall(b"a")
        assert b" 204 " in sock.recv(65536).partition(b"\r\n")[0]
    assert httpx.get(href).content == b"a" * 2_000_000


def test_a_length_that_comes_last_ends_an_upload(laptop: Laptop) -> None:
    href = blob(laptop)
    begun = httpx.post(href, headers={"Upload-Defer-Length": "1"} | TUS)
    assert (begun.status_code, begun.headers["location"]) == (201, href)
    patch(href, 0, b"abc")
    assert status_of(href) == "partial"
    assert httpx.head(href).headers["upload-defer-length"] == "1"
    assert patch(href, 3, b"", **{"Upload-Length": "3"}).status_code == 204
    assert status_of(href) == "ready"
    assert patch(href, 3, b"more").status_code == 413


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "1" * 30}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Tus-Resumable": "2.0.0"}, 412),
        ({"Upload-Length": "many"}, 400),
    ],
    ids=str,
)
def test_what_is_no_part_of_an_upload_is_refused(laptop: Laptop, fields: dict[str, str], status: int) -> None:
    href = blob(laptop, 3)
    assert patch(href, 0, b"abc", **fields).status_code == status
    assert offset_of(href) == "0"


@pytest.mark.parametrize(
    "fields", [{"X-Name": "no base64!"}, {"X-Content-Length": "-2"}, {"X-Content-Type": "nothing"}], ids=str
)
def test_an_artifact_that_makes_no_sense_is_not_made(laptop: Laptop, fields: dict[str, str]) -> None:
    assert create(laptop, None, **fields).status_code == 400


def test_an_artifact_is_no_page_of_ours(laptop: Laptop) -> None:
    href = create(laptop, 4, **{"X-Content-Type": "text/html"}).json()["data-href"]
    patch(href, 0, b"<b/>")
    answer = httpx.get(href)
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_artifacts_are_bounded_and_survive_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Laptop(folder, "--max-upload-bytes", "1000") as first:
        assert create(first, 1001).status_code == 413
        href = blob(first)
        assert patch(href, 0, b"a" * 600).status_code == 204
        refused = patch(href, 600, b"b" * 600)
        assert refused.status_code == 413
        assert "--max-upload-bytes" in refused.json()["detail"]
        assert offset_of(href) == "600"
    with Laptop(folder) as second:
        again = second.url + httpx.URL(href).path
        assert httpx.get(again).content == b"a" * 600
        assert patch(again, 600, b"b").status_code == 204
