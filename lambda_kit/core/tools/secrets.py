"""Secrets of the IVCAP platform: `get_secret`, `SecretMgrClient`."""

import logging
import os
from typing import Any

import ivcap_service.secret
import requests

__all__ = ["SecretMgrClient", "get_secret"]

logger = logging.getLogger("lambda_kit.secrets")


def get_secret(secret_name: str) -> str:
    """A secret: the environment variable of that name, else the shared secret of the platform's secret manager.

    What the secret manager says is put into the environment too, for libraries that look there. Blocks: an async tool
    calls it by `asyncio.to_thread`. Nothing of a secret is logged.

    Args:
        secret_name: Its name.

    Raises:
        ValueError: if the name is empty.
        RuntimeError: if the secret manager has none, or can't be reached within 10 s.
    """
    value = os.environ.get(secret_name)
    if not value:
        value = SecretMgrClient().get_secret(secret_name, is_shared_secret=True)
        os.environ[secret_name] = value
        logger.info("got secret '%s' from the secret manager", secret_name)
    return value


class SecretMgrClient(ivcap_service.secret.SecretMgrClient):
    """Reads secrets from the secret manager beside the service.

    In a job, its calls carry the job's id and authorization where the secret manager is on a platform host. They use no
    proxy of the environment, and no ``.netrc``.

    ``SecretMgrClient(secret_url=None)``: where it is; None is ``$SECRETMGR_PROXY``, else ``http://secretmgr.local``.
    """

    def get_secret(
        self, secret_name: str, is_shared_secret: bool = False, secret_type: str = "", timeout: float = 10
    ) -> str:
        """Read one secret.

        Args:
            secret_name: Its name.
            is_shared_secret: Whether it is one of the service (``M2M``), not of the user (``USER``).
            secret_type: Its type. Empty: ``raw``.
            timeout: For how many seconds to wait for an answer.

        Raises:
            ValueError: if the name is empty.
            RuntimeError: if there is no such secret, or no answer.
        """
        name = secret_name.strip()
        if not name:
            raise ValueError("empty secret name")
        query = {
            "secret-name": name,
            "secret-type": secret_type.strip() or "raw",
            "token-type": "M2M" if is_shared_secret else "USER",
        }
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(f"{self.secret_url.rstrip('/')}/1/secret", params=query, timeout=timeout)
                answer.raise_for_status()
                body: Any = answer.json()
        except requests.RequestException as error:
            raise RuntimeError(f"secret '{name}' can't be read: {error}") from None
        value = body.get("secret-value") if isinstance(body, dict) else None
        if not isinstance(value, str):
            raise RuntimeError(f"secret '{name}' can't be read: the answer of the secret manager has no secret-value")
        return value
