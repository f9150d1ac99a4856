"""Authenticators by URL: ``keys:/run/secrets/keys``, ``oidc:https://issuer?audience=my-service``."""

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.ports.authenticator import Authenticator

__all__ = ["authenticator_from_url", "authenticators_of_environment"]

_FORMS = (
    "keys:/run/secrets/keys, keys:$NAME (the keys' lines are in that variable), "
    "oidc:https://issuer?audience=my-service, further ones after a comma"
)
_ISSUER_OPTIONS = {"audience", "client_id", "hand_on", "roles_claim", "subject_claim"}
_TRUTHS = {"true": True, "false": False}


def authenticators_of_environment() -> tuple[list[Authenticator], ConfigurationError | None]:
    """The authenticators that ``$LAMBDA_KIT_AUTH`` names, and what a start is to be refused with where it is wrong.

    None are named where it is not set, or empty.
    """
    urls = os.environ.get("LAMBDA_KIT_AUTH")
    if not urls:
        return [], None
    found: list[Authenticator] = []
    for number, url in enumerate(urls.split(","), 1):
        try:
            found.append(authenticator_from_url(url.strip()))
        except ConfigurationError as error:
            return [], ConfigurationError(f"$LAMBDA_KIT_AUTH, entry {number}: {error}")
    return found, None


def authenticator_from_url(url: str) -> Authenticator:
    """Make the authenticator that a URL names; it is not started yet.

    Raises:
        ConfigurationError: if it names none; the text does not repeat what may be a secret.
        MissingExtraError: if it needs a package that is not installed.
    """
    scheme, _, rest = url.partition(":")
    # each is imported for its own URLs only
    if scheme.lower() == "keys" and rest:
        return _keys(rest)
    if scheme.lower() == "oidc" and rest:
        return _oidc(rest)
    raise ConfigurationError(f"it names no authenticator: use {_FORMS}")


def _keys(source: str) -> Authenticator:
    from lambda_kit.adapters.auth.api_keys import ApiKeys  # noqa: PLC0415

    if not source.startswith("$"):
        return ApiKeys(unquote(source))
    name = source.removeprefix("$").removeprefix("{").removesuffix("}")
    text = os.environ.get(name)
    if not text:
        raise ConfigurationError(f"${name}, which must have the lines of keys, is not set")
    try:
        return ApiKeys(text if "\n" in text else f"{text}\n")
    except ConfigurationError as error:
        raise ConfigurationError(f"${name}: {error}") from None


def _oidc(rest: str) -> Authenticator:
    try:
        parts = urlsplit(rest)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigurationError(
            "after oidc: there must be a URL, such as https://issuer?audience=my-service&hand_on=true"
        ) from None
    options: dict[str, Any] = dict(given)
    if len(options) < len(given) or not options.keys() <= _ISSUER_OPTIONS or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            f"an issuer has the options {', '.join(sorted(_ISSUER_OPTIONS))}, each once, and neither user nor fragment"
        )
    if not options.get("audience"):
        raise ConfigurationError("an issuer needs the audience of its tokens: oidc:https://issuer?audience=my-service")
    if "hand_on" in options:
        if options["hand_on"] not in _TRUTHS:
            raise ConfigurationError("hand_on must be true or false")
        options["hand_on"] = _TRUTHS[options["hand_on"]]
    from lambda_kit.adapters.auth.oidc import OidcAuthenticator  # noqa: PLC0415

    return OidcAuthenticator(parts._replace(query="").geturl(), **options)
