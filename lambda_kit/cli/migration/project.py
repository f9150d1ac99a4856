"""What other files of the project have to do with the one that is migrated."""

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import libcst as cst

from lambda_kit.cli.migration.source_view import SourceView

__all__ = ["Project"]

_MAX_FILES = 2000
_MAX_BYTES = 1_000_000
_ROOT_SIGNS = ("pyproject.toml", ".git", "setup.py", "setup.cfg", "requirements.txt")
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env"})
_USES_OLD = re.compile(rb"^\s*(?:from|import)\s+(?:ivcap_lambda|ivcap_ai_tool)\b", re.MULTILINE)


class Project:
    """The Python files around a service file. None of them is run or changed.

    Args:
        file: The service file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.resolve()

    def importers(self, name: str) -> list[str]:
        """Where other files import a name of the service file, as ``path:line``."""
        stem = re.escape(self._file.stem)
        if not self._file.stem.isidentifier():
            return []
        imports = re.compile(
            rf"^[ \t]*from[ \t]+[\w.]*\b{stem}[ \t]+import\b[^\n(]*(?:\([^)]*)?\b{re.escape(name)}\b"
            rf"|\b{stem}\.{re.escape(name)}\b",
            re.MULTILINE,
        )
        found = []
        for file, text in self._texts:
            match = imports.search(text)
            if match is not None:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{os.path.relpath(file, self._file.parent)}:{line}")
        return found

    def old_siblings(self, modules: set[str]) -> list[str]:
        """Those of the modules that are files beside the service file and use ivcap-lambda."""
        found = []
        for module in sorted(modules):
            file = self._module_file(module)
            if file is not None and _USES_OLD.search(file.read_bytes()):
                found.append(file.name)
        return found

    def function(self, qualified: str) -> tuple[SourceView, cst.FunctionDef] | None:
        """The function that ``module.name`` means, where the module is a file beside the service file."""
        module, _, name = qualified.rpartition(".")
        view = self._view(module)
        function = view.function(cst.Name(name)) if view is not None and name else None
        return (view, function) if view is not None and function is not None else None

    @functools.cache  # noqa: B019 - a project lives as long as one run of the command
    def _view(self, module: str) -> SourceView | None:
        file = self._module_file(module)
        if file is None:
            return None
        try:
            return SourceView(cst.parse_module(file.read_bytes()), file)
        except Exception:  # noqa: BLE001 - what can't be read is not looked into
            return None

    def _module_file(self, module: str) -> Path | None:
        if not module:
            return None
        file = self._file.parent.joinpath(*module.split(".")).with_suffix(".py")
        is_there = file.is_file() and file != self._file and file.stat().st_size <= _MAX_BYTES
        return file if is_there else None

    @functools.cached_property
    def _texts(self) -> list[tuple[Path, str]]:
        texts = []
        for file in self._files():
            if file != self._file and file.stat().st_size <= _MAX_BYTES:
                texts.append((file, file.read_text("utf-8", errors="replace")))
            if len(texts) >= _MAX_FILES:
                break
        return texts

    def _files(self) -> Iterator[Path]:
        root = self._root()
        if root is None:  # no project: look beside the file only
            yield from sorted(self._file.parent.glob("*.py"))
            return
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is_skipped(folder, name))
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))

    def _root(self) -> Path | None:
        above = (self._file.parent, *self._file.parent.parents[:2])
        return next((folder for folder in above if any((folder / sign).exists() for sign in _ROOT_SIGNS)), None)


def _is_skipped(folder: str, name: str) -> bool:
    return name in _SKIPPED or Path(folder, name, "pyvenv.cfg").exists()
