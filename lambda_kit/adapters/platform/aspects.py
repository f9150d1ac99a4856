"""Aspects: what is said of services, artifacts and anything else, as JSON of a schema.

Those of the tools are made of their classes. All others are files in a folder beside the artifacts; the functions that
touch these block: they are called off the event loop.
"""

import contextlib
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lambda_kit.adapters.platform.artifact_folder import bare_uuid
from lambda_kit.adapters.platform.errors import NotFoundError
from lambda_kit.adapters.platform.services import POLICY, PlatformServices

__all__ = ["Aspect", "Aspects"]

_PREFIX = "urn:ivcap:aspect:"


class Aspect(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One aspect of an entity."""

    uuid: str
    entity: str
    schema: str
    content: dict[str, Any]
    valid_from: float
    """In seconds since the epoch."""
    valid_to: float | None = None
    """When it was retracted. None: it holds."""
    policy: str = POLICY

    @property
    def urn(self) -> str:
        """Its id."""
        return _PREFIX + self.uuid


class Aspects:
    """Keeps aspects.

    Args:
        root: The folder of those that are no tool's. It is made with the first of them.
        services: Whose tools are described by aspects.
    """

    def __init__(self, root: Path, services: PlatformServices) -> None:
        self._root = root
        self._services = services
        self._began = time.time()

    def find(self, entity: str | None, schema: str | None) -> list[Aspect]:
        """Those that hold, the newest first.

        Args:
            entity: Of this entity only. None: of any.
            schema: Of this schema only; ``%`` stands for any text. None: of any.
        """
        pattern = re.compile(re.escape(schema or "%").replace("%", ".*"), re.DOTALL)
        found = [
            aspect
            for aspect in (*self._of_tools(entity), *self._kept())
            if aspect.valid_to is None and entity in (None, aspect.entity) and pattern.fullmatch(aspect.schema)
        ]
        return sorted(found, key=lambda aspect: (aspect.valid_from, aspect.uuid), reverse=True)

    def get(self, aspect_id: str) -> Aspect:
        """One aspect, by its URN or UUID; also one that was retracted.

        Raises:
            NotFoundError: if there is none.
        """
        bare = bare_uuid(aspect_id, _PREFIX)
        made = next((aspect for aspect in self._of_tools(None) if aspect.uuid == bare), None)
        return made or self._read(bare)

    def add(self, entity: str, schema: str, content: dict[str, Any], policy: str | None, *, replaces: bool) -> Aspect:
        """Keep a new aspect.

        Args:
            entity: What it is said of.
            schema: What its content is.
            content: What is said.
            policy: Who may read it on the platform; here it is kept only.
            replaces: Whether those of the same entity and schema that are kept hold no longer.
        """
        if replaces:
            for aspect in self._kept():
                if aspect.valid_to is None and (aspect.entity, aspect.schema) == (entity, schema):
                    self.retract(aspect.urn)
        aspect = Aspect(
            uuid=str(uuid.uuid4()),
            entity=entity,
            schema=schema,
            content=content,
            valid_from=time.time(),
            policy=policy or POLICY,
        )
        self._write(aspect)
        return aspect

    def retract(self, aspect_id: str) -> None:
        """Have an aspect hold no longer. Those of the tools hold as long as these are served.

        Raises:
            NotFoundError: if there is none that is kept.
        """
        aspect = self._read(bare_uuid(aspect_id, _PREFIX))
        if aspect.valid_to is None:
            self._write(msgspec.structs.replace(aspect, valid_to=time.time()))

    def _of_tools(self, entity: str | None) -> Iterator[Aspect]:
        for service_id, tool in self._services:
            if entity is None or self._services.is_id_of(entity, service_id):
                content = self._services.tool_description(service_id, tool)
                yield Aspect(
                    uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{service_id}#{content['$schema']}")),
                    entity=entity or service_id,
                    schema=content["$schema"],
                    content=content,
                    valid_from=self._began,
                )

    def _kept(self) -> Iterator[Aspect]:
        with contextlib.suppress(FileNotFoundError):
            for file in self._root.glob("*.json"):
                with contextlib.suppress(NotFoundError):
                    yield self._read(file.stem)

    def _read(self, bare: str) -> Aspect:
        try:
            return msgspec.json.decode((self._root / f"{bare}.json").read_bytes(), type=Aspect)
        except (OSError, msgspec.MsgspecError):
            raise NotFoundError(f"there is no aspect '{_PREFIX}{bare}' here") from None

    def _write(self, aspect: Aspect) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        new = self._root / f"{aspect.uuid}.{uuid.uuid4().hex}.new"
        try:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(aspect)))
            new.replace(self._root / f"{aspect.uuid}.json")  # never half of it
        finally:
            new.unlink(missing_ok=True)
