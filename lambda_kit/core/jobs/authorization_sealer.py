"""Keeps the authorization of jobs in the store, encrypted, so that a job can be run again after a restart."""

import hashlib
import logging
import os
from typing import Self

from lambda_kit.core.errors import ConfigurationError, MissingExtraError
from lambda_kit.core.model.job import Job

__all__ = ["Sealer"]

logger = logging.getLogger("lambda_kit.service")


class Sealer:
    """Encrypts authorizations with Fernet (AES-128-CBC and HMAC-SHA256, of the package cryptography).

    Without a key nothing is kept: a job that is taken up by another process runs without its authorization.

    Args:
        keys: Keys in Fernet's form (32 bytes in URL-safe base64), comma-separated: the first encrypts, all decrypt, so
            that keys can be changed. None: keep nothing.

    Raises:
        MissingExtraError: if there is a key, and cryptography is not installed.
        ConfigurationError: if a key is malformed. Its text does not hold the key.
    """

    def __init__(self, keys: str | None) -> None:
        self._fernet = None
        self.caller_key: bytes | None = None
        """A key for `Callers`, derived from the one that encrypts. None: there is none."""
        if not keys:
            return
        try:
            from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415
        except ModuleNotFoundError:
            raise MissingExtraError("an encryption key", "encryption") from None
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError:
            raise ConfigurationError(
                "the encryption key must be 32 bytes in URL-safe base64, or several, comma-separated: make one by "
                "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            ) from None
        first = keys.split(",")[0].strip().encode()
        self.caller_key = hashlib.blake2b(b"lambda_kit callers", key=first, digest_size=32).digest()

    @classmethod
    def of_environment(cls) -> tuple[Self, ConfigurationError | None]:
        """One with the keys of ``$LAMBDA_KIT_ENCRYPTION_KEY``; where these are wrong, one without, and the error."""
        try:
            return cls(os.environ.get("LAMBDA_KIT_ENCRYPTION_KEY")), None
        except ConfigurationError as error:
            return cls(None), ConfigurationError(f"$LAMBDA_KIT_ENCRYPTION_KEY: {error}")

    def seal(self, job_id: str, authorization: str | None) -> bytes | None:
        """Encrypt a job's authorization. None: it is not to be kept."""
        if self._fernet is None or authorization is None:
            return None
        return self._fernet.encrypt(f"{job_id}\0{authorization}".encode())

    def unseal(self, job: Job) -> str | None:
        """The authorization that is kept with a job. None: there is none, or no key here opens it."""
        if self._fernet is None or job.sealed_authorization is None:
            return None
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            job_id, _, authorization = self._fernet.decrypt(job.sealed_authorization).decode().partition("\0")
        except InvalidToken:
            job_id = authorization = ""
        if job_id != job.id:
            logger.warning("job %s: runs without its authorization, which no encryption key here opens", job.id)
            return None
        return authorization
