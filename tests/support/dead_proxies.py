"""Variables of the environment that name proxies, on which nobody listens: calls that use them fail."""

__all__ = ["DEAD_PROXIES"]

_DEAD = "http://127.0.0.1:9"

# in both spellings, since programs look at one of them first; and no host is exempt, as scripts/venv.sh has it
DEAD_PROXIES = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), _DEAD),
    "NO_PROXY": "",
    "no_proxy": "",
}
