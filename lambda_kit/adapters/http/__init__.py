"""The HTTP side: Litestar routes, headers, errors, and the OpenAPI document (docs/wire.md)."""
