"""What the syntax of header fields is made of."""

__all__ = ["TOKEN"]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - no secret
"""A regular expression for a token (RFC 9110, 5.6.2): a name of a field, a parameter, or half a media type."""
