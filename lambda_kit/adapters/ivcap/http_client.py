"""The HTTP client with which the sidecar is called."""

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from lambda_kit.core.runtime.threads import off_loop
from lambda_kit.version import VERSION

__all__ = ["new_client"]


async def new_client(
    base_url: str, timeouts: httpx.Timeout, *, most_connections: int = 1, most_idle_connections: int = 1
) -> httpx.AsyncClient:
    """A client for the running event loop; whoever asks for it closes it.

    No proxy variable, ``.netrc`` or cookie touches its calls, and redirects are not followed: a body and a token go to
    the sidecar alone.

    Args:
        base_url: The sidecar's URL.
        timeouts: For each call.
        most_connections: At once.
        most_idle_connections: That are kept for the next calls.
    """
    # reading the certificates takes a while, and they are only for TLS
    is_tls = base_url.startswith("https:")
    verify = await off_loop(httpx.create_ssl_context, trust_env=False) if is_tls else False
    return httpx.AsyncClient(
        verify=verify,
        trust_env=False,
        follow_redirects=False,
        timeout=timeouts,
        limits=httpx.Limits(
            max_connections=most_connections, max_keepalive_connections=most_idle_connections, keepalive_expiry=30.0
        ),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": f"lambda_kit/{VERSION}", "Accept": "*/*", "Accept-Encoding": "identity"},
    )
