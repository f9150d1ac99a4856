"""`Principal`: who asks."""

from dataclasses import dataclass, field

__all__ = ["Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as an authenticator has found out."""

    id: str
    """Unique among all principals of the service, and the same each time."""
    name: str | None = field(default=None, kw_only=True)
    scopes: frozenset[str] = field(default=frozenset(), kw_only=True)

    @property
    def sees_all(self) -> bool:
        """Whether the jobs of others exist for it: it has the scope ``admin``."""
        return "admin" in self.scopes
