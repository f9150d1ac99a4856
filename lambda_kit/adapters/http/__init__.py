"""The HTTP side: Litestar routes, headers, errors, and the OpenAPI document (docs/wire.md)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_kit.adapters.http.litestar_user import LitestarUser

__all__ = ["LitestarUser"]


def __getattr__(name: str) -> Any:
    if name != "LitestarUser":
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    # the modules of this package import it for themselves, and need no authenticator
    value = importlib.import_module(f"{__name__}.litestar_user").LitestarUser
    globals()[name] = value
    return value
