"""Where telemetry goes, and whether there is any: what the environment says. Imports nothing of OpenTelemetry.

The variables are those of OpenTelemetry's specification, and ``OPENOBSERVE_*`` as ivcap-service has them
(docs/telemetry.md).
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

__all__ = ["ENDPOINT_VARIABLES", "Destination", "Signal", "asked_for", "destination", "is_disabled"]

Signal = Literal["traces", "metrics", "logs"]

_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OPENOBSERVE_BASE, _OPENOBSERVE_URL = "OPENOBSERVE_OTLP_ENDPOINT", "OPENOBSERVE_URL"

ENDPOINT_VARIABLES = (
    _BASE,
    *(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" for signal in get_args(Signal)),
    _OPENOBSERVE_BASE,
    _OPENOBSERVE_URL,
)
"""Each of these makes an endpoint known."""

_TRUE = frozenset({"1", "true", "yes", "y", "on"})
_SUFFIXES = ("/v1/otlp", *(f"/v1/{signal}" for signal in get_args(Signal)))


@dataclass(frozen=True)
class Destination:
    """Where each signal is sent."""

    endpoints: Mapping[Signal, str]
    """The URL of each signal that has one. Without any, nothing is sent."""
    headers: Mapping[Signal, Mapping[str, str]] = field(repr=False)  # they hold credentials
    """What is sent with each signal, beside what ``OTEL_EXPORTER_OTLP_HEADERS`` says."""
    troubles: tuple[str, ...] = ()
    """What is wrong with the variables, in words."""


def is_disabled() -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true: it wins over all else."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def asked_for(given: bool | None) -> bool | None:
    """What was asked for: by the flag or the argument, else by ``OPENOBSERVE_ENABLED``. None: nothing was."""
    if given is not None:
        return given
    text = os.environ.get("OPENOBSERVE_ENABLED", "").strip().lower()
    return text in _TRUE if text else None


def destination() -> Destination:
    """Read the environment."""
    troubles: list[str] = []
    endpoints: dict[Signal, str] = {}
    headers: dict[Signal, Mapping[str, str]] = {}
    authorization = _authorization(troubles)
    for signal in get_args(Signal):
        variable, endpoint = _endpoint(signal)
        if not endpoint or not _is_wanted(signal):
            continue
        if (trouble := _trouble(variable, endpoint)) is not None:
            if trouble not in troubles:
                troubles.append(trouble)
            continue
        endpoints[signal] = endpoint
        headers[signal] = _headers(signal, authorization, is_openobserve=variable.startswith("OPENOBSERVE_"))
    if endpoints and "grpc" in os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", ""):
        troubles.append("OTEL_EXPORTER_OTLP_PROTOCOL asks for gRPC: only http/protobuf is spoken, and is used")
    return Destination(endpoints, headers, tuple(troubles))


def _endpoint(signal: Signal) -> tuple[str, str]:
    """The variable that decides where a signal goes, and the signal's URL, which is empty if none does."""
    variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    if url := _variable(variable):
        return variable, url
    if url := _variable(_BASE):
        return _BASE, _with_signal(url, signal)
    unified = "otlp" if _is_true("OPENOBSERVE_USE_UNIFIED_OTLP_ENDPOINT", default=False) else signal
    if url := _variable(_OPENOBSERVE_BASE):
        return _OPENOBSERVE_BASE, _with_signal(url, unified)
    if url := _variable(_OPENOBSERVE_URL):
        organisation = _variable("OPENOBSERVE_ORG") or "default"
        return _OPENOBSERVE_URL, _with_signal(f"{url.rstrip('/')}/api/{organisation}", unified)
    return "", ""


def _with_signal(base: str, last: str) -> str:
    """The URL of a signal below a base; a base that names one already is taken as it is."""
    base = base.rstrip("/")
    if base.endswith(_SUFFIXES):
        return base
    return f"{base}/{last}" if base.endswith("/v1") else f"{base}/v1/{last}"


def _is_wanted(signal: Signal) -> bool:
    """Whether a signal was not switched off by itself."""
    if os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none":
        return False
    return _is_true(f"OPENOBSERVE_ENABLE_{signal.upper()}", default=True)


def _trouble(variable: str, endpoint: str) -> str | None:
    try:
        parts = urlsplit(endpoint)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    return None if is_url else f"{variable} is not the URL of an OTLP endpoint, such as http://collector:4318"


def _headers(signal: Signal, authorization: str | None, *, is_openobserve: bool) -> dict[str, str]:
    headers = {name.lower(): value for name, value in _pairs("OPENOBSERVE_HEADERS").items()}
    own = _pairs(f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS") or _pairs("OTEL_EXPORTER_OTLP_HEADERS")
    given = {name.lower() for name in own} | headers.keys()
    if authorization is not None and "authorization" not in given:
        headers["authorization"] = authorization
    if is_openobserve and "stream-name" not in given and _is_true("OPENOBSERVE_ADD_STREAM_NAME_HEADER", default=True):
        headers["stream-name"] = _variable(f"OPENOBSERVE_{signal.upper()}_STREAM_NAME") or "default"
    return headers


def _authorization(troubles: list[str]) -> str | None:
    """The ``Authorization`` that OpenObserve wants: a whole value, or made of a user and a token or password."""
    if whole := _variable("OPENOBSERVE_AUTH"):
        return whole
    token, user = _variable("OPENOBSERVE_TOKEN"), _variable("OPENOBSERVE_USERNAME")
    password = _variable("OPENOBSERVE_PASSWORD")
    if token and user:
        return _basic(token.strip('"'), user)
    if user and password:
        return _encoded(f"{user}:{password}")
    if token or user:
        troubles.append(
            "OPENOBSERVE_USERNAME and OPENOBSERVE_TOKEN (or OPENOBSERVE_PASSWORD) must be set together: telemetry is "
            "sent without credentials"
        )
    return None


def _basic(token: str, user: str) -> str:
    """A token as OpenObserve takes it: some people set the whole value, or what is to be encoded, or it is encoded."""
    if token.lower().startswith(("basic ", "bearer ")):
        return token
    if ":" in token:
        return _encoded(token)
    try:
        is_encoded = b":" in base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        is_encoded = False
    return f"Basic {token}" if is_encoded else _encoded(f"{user}:{token}")


def _encoded(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode("ascii")


def _pairs(variable: str) -> dict[str, str]:
    """Header fields as OpenTelemetry has them in a variable: ``name=value,name=value``, percent-encoded."""
    parts = (part.partition("=") for part in os.environ.get(variable, "").replace(";", ",").split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in parts if equals and name.strip()}


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _is_true(variable: str, *, default: bool) -> bool:
    text = _variable(variable).lower()
    return text in _TRUE if text else default
