"""Temporary files that are never left behind: of this process in a folder of its own, which any later one may remove.

The folder is locked for as long as the process lives. What a killed process has left is found by its free lock.
"""

import atexit
import contextlib
import importlib
import os
import shutil
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["TemporaryFile", "TemporaryFiles", "remove_left_behind"]

# Windows has no such locks: there a killed process's files are left to the system
_fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

_PREFIX = "lambda_kit-files-"
_LOCK = "lock"
_YOUNG_SECONDS = 60.0
"""A folder without a lock that is younger is being made just now."""


class TemporaryFile:
    """An empty file on disk, which only this user can read. It is removed when it is closed, or nobody has it any more.

    Args:
        suffix: How its name ends, as ``.png``.

    Raises:
        OSError: if it can't be made.
    """

    __slots__ = ("__weakref__", "_remove", "path", "writer")

    def __init__(self, suffix: str = "") -> None:
        descriptor, name = tempfile.mkstemp(suffix=suffix, dir=_folder.path())
        self.path = Path(name)
        self.writer: BinaryIO | None = os.fdopen(descriptor, "wb", buffering=0)
        """Writes it, until `finish`."""
        self._remove = weakref.finalize(self, _removed, name, os.getpid())

    def write(self, content: bytes | bytearray) -> None:
        """Append to it.

        Raises:
            OSError: if there is no room, say.
        """
        view = memoryview(content)
        while view and self.writer is not None:
            view = view[self.writer.write(view) :]

    def finish(self) -> None:
        """Write no more."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def close(self) -> None:
        """Remove it. Safe to call twice."""
        self.finish()
        self._remove()

    def __del__(self) -> None:
        if getattr(self, "writer", None) is not None:
            self.finish()


class TemporaryFiles:
    """The temporary files of one request."""

    __slots__ = ("_files", "is_kept")

    def __init__(self, files: Iterable[TemporaryFile] = ()) -> None:
        self._files = list(files)
        self.is_kept = False
        """Whether a job has them, which closes them at its end. If not, whoever made them does."""

    def add(self, file: TemporaryFile) -> None:
        """Have one more."""
        self._files.append(file)

    def close(self) -> None:
        """Remove them. Safe to call twice."""
        for file in self._files:
            file.close()
        self._files.clear()


def _removed(name: str, pid: int) -> None:
    if os.getpid() == pid:  # not in a fork: it has copies of all that is to be closed
        with contextlib.suppress(OSError):
            Path(name).unlink()


class _Folder:
    """The folder of this process, made when it is first needed."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock: int | None = None
        self._making = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def path(self) -> Path:
        with self._making:
            while self._path is None or not self._path.is_dir():  # whoever cleans up may have taken it
                self._path, self._lock = _new_folder()
            return self._path

    def remove(self) -> None:
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def _forget(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # the parent's stays
        self._path = self._lock = None
        self._making = threading.Lock()


def _new_folder() -> tuple[Path | None, int | None]:
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _try_lock(lock) and (path / _LOCK).exists():
        return path, lock
    os.close(lock)  # it was taken for left behind just now
    return None, None


def _try_lock(descriptor: int) -> bool:
    if _fcntl is None:
        return True
    try:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_left_behind() -> None:
    """Remove what this user's processes have left that were killed. It reads the disk: not for an event loop."""
    if _fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    _remove_if_left(Path(entry.path), entry.stat(follow_symlinks=False))


def _remove_if_left(folder: Path, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - status.st_mtime > _YOUNG_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        if _try_lock(lock):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


_folder = _Folder()
atexit.register(_folder.remove)
