"""Authenticators: they find out who sent a request (docs/behind-a-login.md)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_kit.adapters.auth.api_keys import ApiKeys
    from lambda_kit.adapters.auth.oidc import OidcAuthenticator
    from lambda_kit.adapters.auth.trusted_header import TrustedHeader

__all__ = ["ApiKeys", "OidcAuthenticator", "TrustedHeader"]

_HOMES = {"ApiKeys": "api_keys", "OidcAuthenticator": "oidc", "TrustedHeader": "trusted_header"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    # who needs one of them does not pay for the others
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
