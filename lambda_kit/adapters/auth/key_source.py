"""Where `ApiKeys` has its keys from: a text, or a file that is read again when it changes."""

import asyncio
import logging
import os
import stat
from pathlib import Path
from typing import Protocol

from lambda_kit.adapters.auth.key_file import ApiKey, is_key, parse_keys
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.threads import read_off_loop

__all__ = ["KeyFile", "KeySource", "KeyText", "source_of"]

logger = logging.getLogger("lambda_kit.auth")

_MOST_BYTES = 16 * 2**20


class KeySource(Protocol):
    """What has keys."""

    keys: dict[bytes, ApiKey] | None
    """The keys by their hash. None: they have not been read yet."""

    async def start(self) -> None:
        """Read the keys, and keep them up to date."""
        ...

    async def stop(self) -> None:
        """Keep them up to date no longer."""
        ...


def source_of(source: str | os.PathLike[str], check_seconds: float) -> KeySource:
    """The lines of keys themselves, where a text has any; else the file of that name.

    Raises:
        ConfigurationError: if it is neither, or a line is wrong.
    """
    if isinstance(source, str) and ("sha256:" in source or "\n" in source):
        return KeyText(source)
    path = Path(source)
    if not str(source).strip():
        raise ConfigurationError("ApiKeys: it needs the path of a file of keys, or their lines as a text")
    if is_key(str(source).strip()):
        raise ConfigurationError(
            "ApiKeys: it was given a key. It needs the path of a file with the lines that 'lambda-kit key' prints"
        )
    return KeyFile(path, check_seconds)


class KeyText:
    """Keys whose lines are a text.

    Raises:
        ConfigurationError: if a line is wrong.
    """

    def __init__(self, text: str) -> None:
        self.keys: dict[bytes, ApiKey] | None = parse_keys(text, "the text of ApiKeys")

    def __repr__(self) -> str:
        return f"{len(self.keys or ())} keys of a text"

    async def start(self) -> None:
        """Do nothing: they have been read."""

    async def stop(self) -> None:
        """Do nothing."""


class KeyFile:
    """Keys whose lines are in a file. It is looked at every few seconds, and parsed again when its content has changed.

    Its content and not its time of change: that may stay the same when a file is written twice in a moment, or is
    replaced by an older one. New content counts when two looks in a row have found it, since what is found once may be
    the half of what is just being written.
    """

    def __init__(self, path: Path, check_seconds: float) -> None:
        self.keys: dict[bytes, ApiKey] | None = None
        self._path = path
        self._check_seconds = check_seconds
        self._content = b""
        self._last_seen = b""
        self._trouble: str | None = None
        self._watch: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return repr(str(self._path))

    async def start(self) -> None:
        """Read the file, and look at it from time to time.

        Raises:
            ConfigurationError: if it can't be read, others may write to it, or a line is wrong.
        """
        if self._watch is not None:
            return
        content = self._last_seen = await read_off_loop(_read, self._path)
        self._take(content, await read_off_loop(_parsed, content, self._path))
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look_again(), name=f"keys of {self._path}")

    async def stop(self) -> None:
        """Look at it no longer."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait({watch})  # whose cancellation is not that of the caller

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(self._check_seconds)
            await self.look()

    async def look(self) -> None:
        """See whether it has other keys now."""
        try:
            content = await read_off_loop(_read, self._path)
            if content != self._last_seen:
                self._last_seen = content
                return
            keys = None if content == self._content else await read_off_loop(_parsed, content, self._path)
        except ConfigurationError as error:
            if str(error) != self._trouble:  # once for each trouble, not every few seconds
                self._trouble = str(error)
                logger.error("%s; the keys that were read before stay valid", error)
            return
        except Exception:
            logger.exception("%s can't be read; the keys that were read before stay valid", self._path)
            return
        self._trouble = None
        if keys is not None:
            self._take(content, keys)
            logger.info("%s has changed: %d keys are valid now", self._path, len(keys))

    def _take(self, content: bytes, keys: dict[bytes, ApiKey]) -> None:
        self._content, self.keys = content, keys
        if not keys:
            logger.warning("%s has no key: nobody is let in by one (make one: lambda-kit key)", self._path)


def _parsed(content: bytes, path: Path) -> dict[bytes, ApiKey]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"the file of keys {path} is not UTF-8") from None
    return parse_keys(text, str(path))


def _read(path: Path) -> bytes:
    """The content of a file of keys.

    Whoever may write to it can give themselves a key, so others must not, as sshd has it for authorized_keys; reading
    it is harmless, since no key can be found by its hash.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"the file of keys {path} is no regular file")
        if os.name == "posix" and status.st_mode & stat.S_IWOTH:
            raise ConfigurationError(
                f"the file of keys {path} can be written by everybody, who can so add keys: chmod o-w {path}"
            )
        folder = path.parent.stat().st_mode
        if os.name == "posix" and folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
            raise ConfigurationError(
                f"the file of keys {path} is in a folder where everybody can put another in its place: chmod o-w "
                f"{path.parent}"
            )
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the file of keys {path} can't be read: {error.strerror}. 'lambda-kit key --append {path}' makes it"
        ) from error
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"the file of keys {path} is larger than {_MOST_BYTES} bytes")
    return content
