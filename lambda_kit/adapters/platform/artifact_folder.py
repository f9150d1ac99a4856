"""`ArtifactFolder`: artifacts as files in a folder, which several processes may share.

An artifact is a folder named by its UUID, with its bytes in ``content`` and what is known of it in ``artifact.json``.
No name that a client gives becomes a path. All functions here block: they are called off the event loop.
"""

import contextlib
import errno
import os
import re
import stat
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import msgspec

from lambda_kit.adapters.platform.errors import ArtifactError, NotFoundError

if sys.platform != "win32":
    import fcntl

__all__ = ["Artifact", "ArtifactFolder", "Upload", "bare_uuid", "new_artifact"]

_PREFIX = "urn:ivcap:artifact:"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class Artifact(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What is known of an artifact."""

    uuid: str
    mime_type: str
    created_at: float
    """When it was made, in seconds since the epoch."""
    name: str | None = None
    policy: str | None = None
    collection: str | None = None
    length: int | None = None
    """How many bytes it will have. None: that is not known."""
    is_deferred: bool = False
    """Whether the length is told with the last bytes."""
    size: int = 0
    """How many bytes are there."""
    changed_at: float = 0.0
    """When the last of them came."""

    @property
    def urn(self) -> str:
        """Its id."""
        return _PREFIX + self.uuid

    @property
    def status(self) -> str:
        """``ready``, ``partial`` or ``pending``, as the platform calls it."""
        is_ready = self.size == self.length if self.length is not None else self.size > 0 and not self.is_deferred
        if is_ready:
            return "ready"
        return "partial" if self.size else "pending"


class ArtifactFolder:
    """Keeps artifacts.

    Args:
        root: The folder. It is made with the first artifact.
        max_bytes: How large one may be.
    """

    def __init__(self, root: Path, max_bytes: Callable[[], int]) -> None:
        self.root = root.absolute()
        self._max_bytes = max_bytes

    def create(self, artifact: Artifact) -> Artifact:
        """Keep a new artifact, without bytes.

        Raises:
            ArtifactError: if it will be too large, or can't be written.
        """
        if artifact.length is not None and artifact.length > self._max_bytes():
            raise self.too_large()
        with _errors_of_disk():
            folder = self.root / artifact.uuid
            folder.mkdir(parents=True)
            (folder / "content").touch()
            self._write(artifact)
        return artifact

    def get(self, artifact_id: str) -> Artifact:
        """An artifact, by its URN or UUID.

        Raises:
            NotFoundError: if there is none.
        """
        folder = self.root / bare_uuid(artifact_id, _PREFIX)
        try:
            known = msgspec.json.decode((folder / "artifact.json").read_bytes(), type=Artifact)
            state = (folder / "content").lstat()
        except (OSError, msgspec.MsgspecError):
            raise _no_artifact(artifact_id) from None
        if not stat.S_ISREG(state.st_mode):  # somebody's link out of here
            raise _no_artifact(artifact_id)
        return msgspec.structs.replace(known, size=state.st_size, changed_at=state.st_mtime)

    def all(self) -> list[Artifact]:
        """All artifacts, the newest first."""
        found: list[Artifact] = []
        with contextlib.suppress(OSError):
            for folder in self.root.iterdir():
                with contextlib.suppress(NotFoundError):
                    found.append(self.get(folder.name))
        return sorted(found, key=lambda artifact: (artifact.created_at, artifact.uuid), reverse=True)

    def set_length(self, artifact: Artifact, length: int | None) -> Artifact:
        """Say how many bytes an artifact will have. None: that is told with the last of them.

        Raises:
            ArtifactError: if it has another length already, or will be too large.
        """
        if artifact.length is not None and length != artifact.length:
            raise ArtifactError(409, f"the artifact has a length already, of {artifact.length} bytes")
        if length is not None and length > self._max_bytes():
            raise self.too_large()
        if length is not None and length < artifact.size:
            raise ArtifactError(409, f"the artifact has more bytes already: {artifact.size}")
        changed = msgspec.structs.replace(artifact, length=length, is_deferred=length is None)
        with _errors_of_disk():
            self._write(changed)
        return changed

    def upload(self, artifact: Artifact, offset: int) -> "Upload":
        """Begin to append bytes.

        Raises:
            ArtifactError: if another request does so now, or its bytes do not begin at that offset.
        """
        with _errors_of_disk():
            file = os.open(self._content(artifact), os.O_WRONLY | os.O_APPEND | _NO_LINKS | _BINARY)
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(file).st_size
            if offset != size:
                fields = {"Upload-Offset": str(size)}
                raise ArtifactError(409, f"Upload-Offset {offset}: the next byte is that of offset {size}", fields)
        except BlockingIOError:
            os.close(file)
            raise ArtifactError(423, "another request writes on this artifact now: ask for its offset again") from None
        except BaseException:
            os.close(file)
            raise
        most = self._max_bytes() if artifact.length is None else artifact.length
        return Upload(file, size, most, self.too_large if artifact.length is None else None)

    def read(self, artifact: Artifact) -> Generator[bytes]:
        """The bytes of an artifact, in pieces."""
        with _errors_of_disk():
            file = os.open(self._content(artifact), os.O_RDONLY | _NO_LINKS | _BINARY)
        try:
            while piece := os.read(file, 1024 * 1024):
                yield piece
        finally:
            os.close(file)

    def too_large(self) -> ArtifactError:
        """What is said of an artifact that is too large."""
        return ArtifactError(
            413, f"the artifact is over the limit of {self._max_bytes()} bytes, which --max-upload-bytes sets"
        )

    def _content(self, artifact: Artifact) -> Path:
        return self.root / artifact.uuid / "content"

    def _write(self, artifact: Artifact) -> None:
        folder = self.root / artifact.uuid
        new = folder / f"artifact.{uuid.uuid4().hex}.new"
        try:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(artifact)))
            new.replace(folder / "artifact.json")  # never half of it
        finally:
            new.unlink(missing_ok=True)


class Upload:
    """Appends bytes to one artifact. What was written before it ends, however it ends, stays.

    Args:
        file: A file descriptor, which is closed by `close`.
        size: How many bytes are there.
        most_bytes: How many there may be.
        too_large: Makes the error of more. None: there may be no more than were announced.
    """

    def __init__(self, file: int, size: int, most_bytes: int, too_large: Callable[[], ArtifactError] | None) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._too_large = too_large
        # a request that is cancelled closes while its thread may still write
        self._lock = threading.Lock()
        self._is_closed = False
        self.size = size
        """How many bytes are there."""

    def write(self, piece: bytes) -> None:
        """Append some bytes.

        Raises:
            ArtifactError: if these are too many, or the disk is full. None of them was written.
        """
        with self._lock, _errors_of_disk():
            if self._is_closed:
                return
            if self.size + len(piece) > self._most_bytes:
                if self._too_large is not None:
                    raise self._too_large()
                raise ArtifactError(413, f"these are more bytes than were announced: {self._most_bytes}")
            view = memoryview(piece)
            try:
                while view:
                    written = os.write(self._file, view)
                    view = view[written:]
            finally:
                self.size += len(piece) - len(view)

    def close(self) -> None:
        """End it."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._file)


def bare_uuid(given: str, prefix: str) -> str:
    """The UUID of what is named by its URN or its UUID. Nothing else can become the name of a file here.

    Raises:
        NotFoundError: if it is neither.
    """
    bare = given.removeprefix(prefix)
    if not _UUID.fullmatch(bare):
        raise NotFoundError(f"there is no '{given[:200]}' here")
    return bare


def _no_artifact(artifact_id: str) -> NotFoundError:
    return NotFoundError(f"there is no artifact '{artifact_id[:200]}' here")


def new_artifact(mime_type: str, **more: str | int | None) -> Artifact:
    """A new artifact, which no folder has yet."""
    made = {"uuid": str(uuid.uuid4()), "mime-type": mime_type, "created-at": time.time()}
    return msgspec.convert(made | more, Artifact)


@contextlib.contextmanager
def _errors_of_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ArtifactError(507, f"the artifact can't be kept: {error.strerror}") from error
        raise
