"""How a token is refused."""

from lambda_kit.core.errors import AuthenticationError

__all__ = ["BEARER_CHALLENGE", "refused"]

BEARER_CHALLENGE = 'Bearer realm="lambda_kit"'
"""What a client without a token is told: no error, since it made none (RFC 6750, 3.1)."""


def refused(reason: str) -> AuthenticationError:
    """The error for a token that is not right.

    Args:
        reason: What is wrong, for the client and the log: ASCII without quotation marks and backslashes (RFC 6750, 3),
            and nothing of the token.
    """
    challenge = f'{BEARER_CHALLENGE}, error="invalid_token", error_description="{reason}"'
    return AuthenticationError(reason, challenge=challenge)
