"""Artifacts on a laptop: files that behave as `ivcap_client`'s artifacts do on the platform."""

import io
import mimetypes
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivcap_client.artifact import DataUrlArtifact, LocalFileArtifact, SafePath
from ivcap_client.models.artifact_status_rt_status import ArtifactStatusRTStatus

if TYPE_CHECKING:
    from ivcap_client.ivcap import IVCAP

__all__ = ["InlineArtifact", "LocalArtifact"]

_LEAST_CHUNK_BYTES = 8 * 1024
_MOST_CHUNK_BYTES = 16 * 1024 * 1024

OnProgress = Callable[[int, int | None], None]


class LocalArtifact(LocalFileArtifact):
    """A file, with all that an artifact of the platform has: `as_stream`, `urn`, `policy`, `etag`, and binary `open`.

    Args:
        ivcap: Keeps its metadata.
        file: The file; it must exist.
        urn: Its id. None: ``urn:file://<absolute path>``.
        name: Its name. None: the file's.
        mime_type: Its media type. None: as its name says.
        policy: Who may use it, on the platform.
    """

    def __init__(
        self,
        ivcap: "IVCAP",
        file: Path,
        *,
        urn: str | None = None,
        name: str | None = None,
        mime_type: str | None = None,
        policy: str | None = None,
    ) -> None:
        self._ivcap = ivcap
        self._fp = file.resolve()
        self.id = urn or f"urn:file://{self._fp}"
        self.name = name or self._fp.name
        self.policy = policy
        self.account: str | None = None
        self._mime_type = mime_type
        state = self._fp.stat()
        self.size = state.st_size
        self.created_at = self.last_modified_at = datetime.fromtimestamp(state.st_mtime, UTC)
        self._version = f"{state.st_mtime_ns:x}-{state.st_size:x}"

    @property
    def urn(self) -> str:
        """Its id."""
        return self.id

    @property
    def mime_type(self) -> str:
        """Its media type, guessed by its name where it was not given."""
        return self._mime_type or mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @property
    def status(self) -> ArtifactStatusRTStatus:  # type: ignore[override]
        """Always ``ready``."""
        return ArtifactStatusRTStatus.READY

    @property
    def etag(self) -> str:
        """Changes with the file."""
        return self._version

    def open(self) -> io.BufferedReader:
        """Open it for reading, as bytes."""
        return self._fp.open("rb")

    def as_stream(self, chunk_size: int = -1) -> Iterator[bytes]:
        """Its bytes, piece by piece.

        Args:
            chunk_size: How long a piece is, in bytes. -1: as suits its size.
        """
        if chunk_size < 1:
            chunk_size = max(_LEAST_CHUNK_BYTES, min(self.size // 10, _MOST_CHUNK_BYTES))
        with self.open() as file:
            while chunk := file.read(chunk_size):
                yield chunk

    def as_local_file(
        self, path: Path | str | None = None, *, chunk_size: int = -1, progress_callback: OnProgress | None = None
    ) -> Path:
        """The file itself, which can't be unlinked by what is returned; or a copy.

        Args:
            path: Where to copy it. None: it is not copied.
            chunk_size: How much is copied at once, in bytes. -1: as suits its size.
            progress_callback: Called with the bytes that are copied, and the size.
        """
        if path is None:
            return SafePath(self._fp)
        copy, done = Path(path), 0
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as file:
            for chunk in self.as_stream(chunk_size):
                file.write(chunk)
                done += len(chunk)
                if progress_callback is not None:
                    progress_callback(done, self.size)
        return copy

    @property
    def metadata(self) -> Iterator[Any]:
        """The aspects that were added to it."""
        aspects: Iterator[Any] = self._ivcap.list_aspects(entity=self.id)
        return aspects

    def add_metadata(
        self, aspect: dict[str, Any], *, schema: str | None = None, policy: str | None = None
    ) -> "LocalArtifact":
        """Add an aspect to it.

        Args:
            aspect: What is said of it.
            schema: The aspect's schema. None: as its ``$schema`` says.
            policy: Who may see it, on the platform.
        """
        self._ivcap.add_aspect(entity=self.id, aspect=aspect, schema=schema, policy=policy)
        return self

    def __repr__(self) -> str:
        return f"<LocalArtifact id={self.id}>"


class InlineArtifact(DataUrlArtifact):
    """The content of a ``data:`` URL."""

    policy: str | None = None
    account: str | None = None

    @property
    def status(self) -> ArtifactStatusRTStatus:  # type: ignore[override]
        """Always ``ready``."""
        return ArtifactStatusRTStatus.READY


def copy_into(file: Path, source: "Path | Any") -> None:
    """Write a file from another one, or from an open file of bytes or text."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        if not (file.exists() and source.samefile(file)):
            shutil.copy2(source, file)
        return
    with file.open("wb") as target:
        while piece := source.read(_LEAST_CHUNK_BYTES * 32):
            target.write(piece.encode() if isinstance(piece, str) else piece)
