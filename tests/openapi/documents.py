"""OpenAPI documents, and what stands in them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

__all__ = ["Document", "operations", "references", "resolve"]

Document = dict[str, Any]


def references(node: Any) -> Iterator[str]:
    """All references; in data, as in examples, there must be none."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Document, reference: str) -> Any:
    """What a reference leads to."""
    node: Any = document
    assert reference.startswith("#/"), f"{reference} leads out of the document"
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method and operation, of all operations."""
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield path, method, item[method]
