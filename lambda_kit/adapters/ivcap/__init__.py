"""The IVCAP platform: what it hands out, and what it is told."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_kit.adapters.ivcap.sidecar_sink import IvcapSidecarSink
    from lambda_kit.adapters.ivcap.sidecar_times import SidecarTimes

__all__ = ["IvcapSidecarSink", "SidecarTimes"]

_HOMES = {"IvcapSidecarSink": "sidecar_sink", "SidecarTimes": "sidecar_times"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    # a service without a sidecar imports this package too
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
