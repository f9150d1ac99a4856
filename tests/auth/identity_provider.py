"""oidc-provider, a certified OpenID Connect provider from npm, as a process: tests/openapi/node has its setup."""

import base64
import contextlib
import hashlib
import re
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from tests.openapi.generating import NODE_TOOLS, node_tool
from tests.support.missing_service import missing_service
from tests.support.service_process import free_port

__all__ = ["CALLBACK", "IdentityProvider", "identity_provider"]

CALLBACK = "http://127.0.0.1/callback"


class IdentityProvider:
    """How its clients get tokens.

    Args:
        issuer: Its issuer.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def robot_token(self, audience: str, scope: str) -> str:
        """An access token for a program."""
        answer = httpx.post(
            f"{self.issuer}/token",
            auth=("robot", "robot-secret"),
            data={"grant_type": "client_credentials", "resource": audience, "scope": scope},
        )
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def log_in(self, user: str, audience: str, scope: str) -> dict[str, Any]:
        """What a browser gets that logs in by the code flow with PKCE: access_token and id_token."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "client_id": "browser", "response_type": "code", "redirect_uri": CALLBACK, "scope": f"openid {scope}",
            "resource": audience, "code_challenge": challenge, "code_challenge_method": "S256", "nonce": "n",
        }  # fmt: skip
        place = self.visit(f"/auth?{urlencode(query)}", user)
        code = parse_qs(urlsplit(place).query)["code"][0]
        answer = httpx.post(
            f"{self.issuer}/token",
            data={
                "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": "browser",
                "code_verifier": verifier, "resource": audience,
            },
        )  # fmt: skip
        tokens: dict[str, Any] = answer.raise_for_status().json()
        return tokens

    def visit(self, url: str, user: str) -> str:
        """What a browser does in which somebody logs in at a URL of the provider; returns where it is sent back to."""
        with httpx.Client(base_url=self.issuer) as browser:
            answer = browser.get(url)
            while not (place := str(answer.headers.get("location", ""))).startswith(CALLBACK):
                answer = (
                    browser.get(urljoin(self.issuer, place)) if answer.is_redirect else _submit(browser, answer, user)
                )
        return place


def _submit(browser: httpx.Client, page: httpx.Response, user: str) -> httpx.Response:
    """Fill in the form of a page."""
    page.raise_for_status()
    found = re.search(r'action="([^"]+)"', page.text)
    prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
    assert found is not None, page.text
    assert prompt is not None, page.text
    data = {"prompt": prompt[1], "login": user, "password": "any"}
    return browser.post(urljoin(str(page.url), found[1]), data=data)


@contextlib.contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """One that runs while the block lasts. The test is skipped where the npm tools are not installed."""
    if not (NODE_TOOLS / "node_modules" / "oidc-provider").is_dir():
        missing_service("the npm tools of tests/openapi/node: install them by scripts/node_tools.sh")
    command = [*node_tool("node"), NODE_TOOLS / "identity_provider.mjs", str(free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()  # once it listens
        assert issuer.startswith("http://127.0.0.1:"), "it did not start"
        yield IdentityProvider(issuer)
    finally:
        process.kill()
        process.communicate()
