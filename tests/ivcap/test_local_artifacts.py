"""`ctx.ivcap` on a laptop: artifacts are files in a folder."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ivcap_client.artifact import TarMember
from ivcap_client.exception import ResourceNotFound
from ivcap_client.ivcap import LocalIVCAP
from pydantic import BaseModel

from lambda_kit import JobContext

CONTENT = bytes(range(256)) * 100
URN = "urn:ivcap:artifact:5e5a7c1c-7fd7-4b36-9a2b-0f2f5f2f0a01"


class AgentRequest(BaseModel):
    text: str = ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("IVCAP_URL", "IVCAP_BASE_URL", "IVCAP_JWT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IVCAP_LOCAL_DIR", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ivcap(folder: Path) -> Any:
    ivcap = JobContext(job_id="j").ivcap
    assert isinstance(ivcap, LocalIVCAP)
    return ivcap


def ways_to_name(folder: Path, kind: str) -> str:
    """Put `CONTENT` somewhere, and say by which id it is found."""
    kept = folder / "kept" / "artifacts"
    kept.mkdir(parents=True)
    bare = URN.rpartition(":")[2]
    if kind == "URN of a file":
        (kept / f"{bare}.bin").write_bytes(CONTENT)
        return URN
    if kind == "URN in a folder of --artifacts":
        (kept / bare).mkdir()
        (kept / bare / "content").write_bytes(CONTENT)
        (kept / bare / "artifact.json").write_text('{"name": "n.bin", "mime-type": "image/x-odd", "policy": "p"}')
        return URN
    if kind == "name in the folder":
        (kept / "some data.bin").write_bytes(CONTENT)
        return "some data.bin"
    file = folder / "some data.bin"
    file.write_bytes(CONTENT)
    return {
        "path": str(file),
        "relative path": "some data.bin",
        "urn:file": f"urn:file://{file}",
        "file URL": f"file://{str(file).replace(' ', '%20')}",
        "file URL with host": f"file://localhost{file}",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "path", "relative path", "urn:file", "file URL", "file URL with host", "name in the folder", "URN of a file",
        "URN in a folder of --artifacts",
    ],
)  # fmt: skip
def test_an_artifact_is_read_by_every_name(folder: Path, ivcap: Any, kind: str) -> None:
    artifact = ivcap.get_artifact(ways_to_name(folder, kind))
    assert artifact.urn == artifact.id
    assert artifact.id == URN if "URN " in kind else artifact.id.startswith("urn:file:///")
    assert b"".join(artifact.as_stream(chunk_size=1000)) == b"".join(artifact.as_stream()) == CONTENT
    assert max(map(len, artifact.as_stream(1000))) == 1000
    with artifact.open() as file:
        assert file.read() == CONTENT
    with artifact.as_local_file() as path:
        assert path.read_bytes() == CONTENT
    assert path.exists()
    assert artifact.as_local_file(folder / "a" / "copy").read_bytes() == CONTENT
    assert artifact.size == len(CONTENT)
    assert artifact.status == "ready"
    assert artifact.etag == artifact.refresh().etag
    has_record = kind == "URN in a folder of --artifacts"
    assert artifact.policy == ("p" if has_record else None)
    assert (artifact.name, artifact.mime_type) == ("n.bin", "image/x-odd") if has_record else artifact.name


def test_data_urls_are_artifacts_too(ivcap: Any) -> None:
    artifact = ivcap.get_artifact("data:text/plain;base64,SGVsbG8h")
    assert (b"".join(artifact.as_stream(2)), artifact.mime_type, artifact.policy) == (b"Hello!", "text/plain", None)
    assert artifact.status == "ready"


def test_what_is_not_there_is_an_error_that_names_it(folder: Path, ivcap: Any) -> None:
    with pytest.raises(ValueError, match=r"file '/no/such' does not exist"):
        ivcap.get_artifact("urn:file:///no/such")
    (folder / "kept").mkdir()
    (folder / "secret").write_text("x")
    for urn in (URN, "urn:ivcap:artifact:../secret", "urn:ivcap:artifact:.."):
        with pytest.raises(ResourceNotFound, match="local mode looks for a file"):
            ivcap.get_artifact(urn)


def test_what_is_uploaded_is_found_again(folder: Path, ivcap: Any) -> None:
    (folder / "in.png").write_bytes(CONTENT)
    uploads = [
        ivcap.upload_artifact(name="a/b.png", file_path=str(folder / "in.png"), policy="urn:ivcap:policy:x"),
        ivcap.upload_artifact(name="c.bin", io_stream=io.BytesIO(CONTENT), content_type="image/x-odd"),
        ivcap.upload_artifact(name="t.txt", io_stream=io.StringIO("grüße"), content_type="text/plain", retries=3),
        ivcap.upload_artifact(file_path=str(folder / "in.png")),
    ]
    assert [artifact.mime_type for artifact in uploads] == ["image/png", "image/x-odd", "text/plain", "image/png"]
    assert uploads[0].policy == "urn:ivcap:policy:x"
    for artifact in uploads:
        again = ivcap.get_artifact(artifact.urn)
        assert b"".join(again.as_stream()) == (CONTENT if artifact is not uploads[2] else "grüße".encode())
    assert uploads[0].urn == f"urn:file://{folder}/kept/artifacts/a/b.png"
    assert {artifact.name for artifact in ivcap.list_artifacts()} == {artifact.name for artifact in uploads}
    assert len(list(ivcap.list_artifacts(limit=2))) == 2
    assert [it.name for it in ivcap.list_artifacts(filter="name~='c.b'")] == ["c.bin"]
    ivcap.upload_artifact(name="a/b.png", file_path=str(folder / "kept/artifacts/a/b.png"))  # onto itself
    assert (folder / "kept/artifacts/a/b.png").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "."])
def test_a_name_that_leads_out_of_the_folder_is_refused(ivcap: Any, name: str) -> None:
    with pytest.raises(ValueError, match="stays in the folder"):
        ivcap.upload_artifact(name=name, io_stream=io.BytesIO(b"x"))


def test_several_files_are_uploaded_as_an_archive(folder: Path, ivcap: Any) -> None:
    (folder / "a.txt").write_text("a")
    members = [TarMember.from_file(str(folder / "a.txt")), TarMember.from_bytes(b"b", "b/c.txt")]
    artifact = ivcap.upload_tar_artifact(members, name="all.tar.gz")
    assert artifact.is_tar_file
    with tarfile.open(artifact.as_local_file()) as tar:
        assert tar.getnames() == ["a.txt", "b/c.txt"]
    assert sorted(path.name for path in artifact.untar(folder / "out").rglob("*.txt")) == ["a.txt", "c.txt"]


def test_artifacts_have_metadata(ivcap: Any) -> None:
    artifact = ivcap.upload_artifact(name="m", io_stream=io.BytesIO(b"x"), content_type="text/plain")
    assert artifact.add_metadata({"$schema": "urn:s", "a": 1}) is artifact
    assert [aspect.content["a"] for aspect in artifact.metadata] == [1]


def test_what_only_a_platform_has_is_empty_or_says_so(ivcap: Any) -> None:
    for empty in (ivcap.list_artifacts, ivcap.list_services, ivcap.list_orders, ivcap.list_secrets):
        assert list(empty(limit=5)) == []
    assert list(ivcap.list_collections(name_filter="x")) == []
    assert ivcap.search("x(Y).") == []
    with pytest.raises(RuntimeError, match=r"set \$IVCAP_URL and \$IVCAP_JWT"):
        ivcap.get_agent("urn:ivcap:service:x").exec_agent(AgentRequest())
