"""The client of the platform's secret manager, by its old import path."""

import warnings
from typing import Any

from lambda_kit.core.tools.secrets import SecretMgrClient as CurrentClient

__all__ = ["SecretMgrClient"]


class SecretMgrClient(CurrentClient):
    """As `ivcap_service.secret.SecretMgrClient`, which is its place now; warns of that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "ivcap_lambda.secret.SecretMgrClient is deprecated: use ivcap_service.secret.SecretMgrClient",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)
