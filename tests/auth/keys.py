"""Keys for tests, as `lambda-kit key` makes them."""

from dataclasses import dataclass, field

from lambda_kit.adapters.auth.key_file import hash_of, new_key


@dataclass
class Key:
    """A key and its line."""

    name: str
    options: str = ""
    key: str = field(default_factory=new_key)

    @property
    def line(self) -> str:
        return f"{self.name}  {self.options}  sha256:{hash_of(self.key).hex()}"
