"""`FolderIVCAP`: `ctx.ivcap` where there is no platform: artifacts are files, and the rest of the platform is empty."""

import json
import re
import tarfile
import time
import uuid
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ivcap_client.artifact import TarMember, is_data_url
from ivcap_client.exception import ResourceNotFound
from ivcap_client.ivcap import LocalIVCAP

from lambda_kit.core.tools.local_artifacts import InlineArtifact, LocalArtifact, copy_into

__all__ = ["FolderIVCAP"]

_ARTIFACT_PREFIX = "urn:ivcap:artifact:"
_BARE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class FolderIVCAP(LocalIVCAP):
    """The local mode of `ivcap_client`, without its gaps.

    `get_artifact` takes the path of a file, ``file://`` and ``urn:file://`` URLs, ``data:`` URLs, and the URN of an
    artifact that lies in the folder: as ``<id>``, ``<id>.<suffix>``, or as ``--artifacts`` keeps it
    (``<id>/content``). Lists of what only a platform has are empty; what else needs one says so.
    """

    @property
    def _client(self) -> Any:  # type: ignore[override]
        """What ivcap-client calls the platform with."""
        raise RuntimeError(
            "ctx.ivcap is in local mode, which has artifacts and aspects only: for services, jobs and the rest set "
            "$IVCAP_URL and $IVCAP_JWT"
        )

    # --- artifacts ---

    def get_artifact(self, id: str) -> Any:  # noqa: A002 - the name that it has there
        """An artifact.

        Args:
            id: Its URN, a URL (``file:``, ``data:``), or a path.

        Raises:
            ValueError: if there is no such file.
            ResourceNotFound: if the folder has no artifact with this URN.
        """
        if is_data_url(id):
            return InlineArtifact(id)
        if id.startswith(_ARTIFACT_PREFIX):
            return self._in_folder(id)
        url = id.removeprefix("urn:")
        if url.startswith("file://"):
            path = url.removeprefix("file://").removeprefix("localhost")
            candidates = [Path(path), Path(unquote(urlsplit(url).path))]
        else:
            candidates = [Path(id).expanduser(), self._artifacts / id]
        file = next((path for path in candidates if path.is_file()), None)
        if file is None:
            raise ValueError(f"file '{candidates[0]}' does not exist")
        return LocalArtifact(self, file)

    def list_artifacts(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - the name that it has there
        limit: int | None = 10,
        **_: Any,
    ) -> Iterator[Any]:
        """The artifacts in the folder, newest first.

        Args:
            filter: ``name~='text'``: those whose name has this text. Others are ignored here.
            limit: How many. None: all.
        """
        wanted = re.search(r"name\s*~=\s*'([^']*)'", filter or "")
        files = [path for path in self._artifacts.rglob("*") if path.is_file() and not path.name.startswith(".")]
        files = [path for path in files if not (path.name == "artifact.json" and (path.parent / "content").is_file())]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        found = (self._kept(path.parent) if path.name == "content" else LocalArtifact(self, path) for path in files)
        return islice((it for it in found if wanted is None or wanted[1] in it.name), limit)

    def upload_artifact(
        self,
        *,
        name: str | None = None,
        file_path: str | None = None,
        io_stream: IO[Any] | None = None,
        content_type: str | None = None,
        policy: str | None = None,
        **_: Any,
    ) -> Any:
        """Write a file to ``<folder>/artifacts/<name>``.

        Args:
            name: Its name, which may have folders. None: a new one.
            file_path: The file to copy.
            io_stream: Or an open file, of bytes or text.
            content_type: Its media type. None: as its name says.
            policy: Who may use it, on the platform.

        Raises:
            ValueError: if there is nothing to upload, or the name leads out of the folder.
        """
        if not (file_path or io_stream):
            raise ValueError("require either 'file_path' or 'io_stream'")
        if file_path and not Path(file_path).is_file():
            raise ValueError(f"file '{file_path}' doesn't exist or is not readable.")
        file = self._new_file(name or f"{uuid.uuid4()}{Path(file_path or '').suffix}")
        copy_into(file, Path(file_path) if file_path else io_stream)
        return LocalArtifact(self, file, mime_type=content_type, policy=policy)

    def upload_tar_artifact(
        self,
        members: Iterable[TarMember],
        *,
        content_type: str = "application/gzip",
        name: str | None = None,
        policy: str | None = None,
        **_: Any,
    ) -> Any:
        """Write a compressed tar archive to ``<folder>/artifacts/<name>``."""
        file = self._new_file(name or f"{uuid.uuid4()}.tar.gz")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w:gz") as tar:
            for member in members:
                if member.file_path is not None:
                    tar.add(member.file_path, arcname=member.arcname)
                    continue
                content = member.data or b""
                info = tarfile.TarInfo(member.arcname)
                info.size, info.mtime = len(content), int(member.mtime or time.time())
                info.mode = info.mode if member.mode is None else member.mode
                tar.addfile(info, BytesIO(content))
        return LocalArtifact(self, file, mime_type=content_type, policy=policy)

    def artifact_for_file(self, file_path: str) -> None:
        """None: local mode does not remember what was uploaded."""

    # --- what only a platform has ---

    def _nothing(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Nothing: a laptop has none."""
        return iter(())

    list_services = list_orders = list_secrets = list_collections = _nothing

    def search(self, query: str) -> list[Any]:
        """Nothing: a laptop has no index."""
        return []

    # --- inside ---

    @property
    def _artifacts(self) -> Path:
        return self.base_dir / "artifacts"

    def _new_file(self, name: str) -> Path:
        root = self._artifacts.resolve()
        file = (root / name).resolve()
        if root not in file.parents:
            raise ValueError(f"name={name!r}: must be a relative path that stays in the folder of the artifacts")
        return file

    def _in_folder(self, urn: str) -> LocalArtifact:
        bare = urn.removeprefix(_ARTIFACT_PREFIX)
        if _BARE_ID.fullmatch(bare):
            for root in (self._artifacts, self.base_dir):
                if (root / bare / "content").is_file():
                    return self._kept(root / bare)
                files = sorted(path for path in root.glob(f"{bare}*") if path.is_file())
                file = next((path for path in files if path.name == bare or path.stem == bare), None)
                if file is not None:
                    return LocalArtifact(self, file, urn=urn)
        raise ResourceNotFound(f"{urn} (local mode looks for a file of this name in {self._artifacts})")

    def _kept(self, folder: Path) -> LocalArtifact:
        """One that is a folder, as ``--artifacts`` makes it."""
        try:
            known = json.loads((folder / "artifact.json").read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        members = {name.replace("-", "_"): known.get(name) for name in ("name", "mime-type", "policy")}
        return LocalArtifact(self, folder / "content", urn=_ARTIFACT_PREFIX + folder.name, **members)
