"""Import names for packages that are somewhere else: each module is loaded once, whatever name it is asked for by."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["add_alias"]

_FILES_OF_ORIGINALS = ("ivcap_lambda/builder.py", "ivcap_ai_tool/builder.py")
"""Of ivcap-lambda and the old ivcap-ai-tool, and not of lambda-kit-compat, which has these folders too."""


def add_alias(name: str, target: str, file: str) -> None:
    """Let a package, and all that is in it, be imported by another name as well.

    ``import NAME.part`` gives the very module that ``import TARGET.part`` gives, in either order. What is not there is
    a `ModuleNotFoundError` of the name that was asked for.

    Args:
        name: The other name, of a package at the top. To be called in its ``__init__``.
        target: Where the package is.
        file: That ``__init__``.

    Raises:
        ImportError: if the original was installed into the same folders; says what to do.
    """
    site_packages = Path(file).parents[1]
    if any((site_packages / original).exists() for original in _FILES_OF_ORIGINALS):
        raise ImportError(
            "ivcap-lambda or ivcap-ai-tool is installed beside lambda-kit-compat, in the same folders: each has "
            "overwritten files of the other. Run: pip uninstall ivcap-lambda ivcap-ai-tool, then: pip install "
            "--force-reinstall --no-deps lambda-kit-compat",
            name=name,
        )
    _finder.targets[name] = target
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    sys.modules[name] = importlib.import_module(target)  # the import system takes what it finds here


class _AliasLoader(Loader):
    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._target)


class _AliasFinder(MetaPathFinder):
    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, dot, rest = fullname.partition(".")
        if not dot or package not in self.targets:
            return None
        there = f"{self.targets[package]}.{rest}"
        # what is there is not left to the other finders: they would look in the same folder, and load it twice
        return None if importlib.util.find_spec(there) is None else ModuleSpec(fullname, _AliasLoader(there))


_finder = _AliasFinder()
