"""`HttpSettings`: what can be set of the HTTP side."""

from dataclasses import dataclass, field

from lambda_kit.adapters.http.allowed_hosts import AllowedHosts
from lambda_kit.adapters.http.origins import SharedOrigins
from lambda_kit.core.model.request_info import KeptFields
from lambda_kit.core.model.trusted_proxies import TrustedProxies

__all__ = ["HttpSettings"]


@dataclass(kw_only=True, slots=True)
class HttpSettings:
    """What can be set of the HTTP side. It is read at each request: the command line may come after the app is made."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Larger bodies are refused with 413, without reading them to the end."""

    max_upload_bytes: int = 256 * 1024 * 1024
    """Forms whose parts are larger together are refused with 413, without reading them to the end."""

    try_later_body: bool = False
    """Whether "try later" is always a 202 with a body, and not only where the client prefers that."""

    job_list: bool = False
    """Whether ``GET /jobs`` is served. Who knows a job's id can read its result."""

    kept_fields: KeptFields = field(default_factory=KeptFields)
    """Chooses the header fields that are kept with a job."""

    heartbeat_seconds: float = 15.0
    """After so long without an event, an event stream sends a comment that keeps proxies awake."""

    allowed_hosts: AllowedHosts | None = None
    """The hosts by which the service may be called. None: any."""

    origins: SharedOrigins | None = None
    """The origins whose pages may use the service, besides its own."""

    root_path: str = ""
    """The prefix under which a proxy has the service, without a slash at its end, where it does not say so itself."""

    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """The proxies whose word about a request is taken."""

    debug: bool = False
    """Whether clients are shown tracebacks."""
