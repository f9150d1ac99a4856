"""Makes `ctx.ivcap`: the client of `ivcap_client` that fits where the service runs, with the job's authorization."""

import os

from ivcap_client.client.client import Client
from ivcap_client.ivcap import IVCAP

from lambda_kit.core.tools.local_ivcap import FolderIVCAP

__all__ = ["ivcap_client_for"]


def ivcap_client_for(job_headers: dict[str, str]) -> IVCAP:
    """A client of the platform at ``$IVCAP_URL`` or ``$IVCAP_BASE_URL``; without either, of a local folder.

    Args:
        job_headers: What says for which job it calls. Its ``Authorization`` goes before ``$IVCAP_JWT``. They are
            given to the client, so that it also has them in threads that a tool starts.

    Raises:
        ValueError: if ``$IVCAP_URL`` is set, and neither the job nor ``$IVCAP_JWT`` has a token.
    """
    url = os.environ.get("IVCAP_URL") or os.environ.get("IVCAP_BASE_URL")
    if not url:
        return FolderIVCAP()
    headers = dict(job_headers)
    authorization = headers.pop("Authorization", "")
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        client = IVCAP(url=url.rstrip("/"), token=token.strip())
    elif authorization:
        client = IVCAP(url=url.rstrip("/"), token=authorization)
        client._token = None  # it would be sent as a bearer token
        client._client = Client(base_url=url.rstrip("/"), headers={"Authorization": authorization})
    else:
        client = IVCAP()
    client._client = client._client.with_headers(headers)
    return client
