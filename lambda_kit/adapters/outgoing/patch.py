"""Replaces methods of client libraries while a server runs, and puts the originals back."""

import importlib
import importlib.abc
import importlib.machinery
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

__all__ = ["ImportWatch", "MethodPatch"]

logger = logging.getLogger("lambda_kit.outgoing")


class MethodPatch:
    """One method, replaced until `undo`.

    Others may replace it too, as OpenTelemetry's instrumentors do. Where one of them has wrapped ours, ours stays in
    the chain and passes calls on unchanged; it is used again by the next patch of the same method.

    Args:
        owner: The class.
        name: The method.
        wrap: Makes the replacement from the original and a function that says whether the patch is in force.
    """

    def __init__(self, owner: type, name: str, wrap: Callable[[Any, Callable[[], bool]], Any]) -> None:
        self._owner, self._name = owner, name
        original = getattr(owner, name)
        buried = _switch_in(original)
        self._switch = _Switch(original) if buried is None else buried
        self._switch.is_on = True
        if buried is None:
            self._switch.ours = wrap(original, lambda: self._switch.is_on)
            self._switch.ours._lambda_kit_switch = self._switch
            setattr(owner, name, self._switch.ours)

    def undo(self) -> None:
        """Put the original back."""
        self._switch.is_on = False
        if self._owner.__dict__.get(self._name) is self._switch.ours:
            setattr(self._owner, self._name, self._switch.original)


class _Switch:
    """Belongs to one replacement, as an attribute of it."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.ours: Any = None
        self.is_on = False


def _switch_in(function: Any) -> _Switch | None:
    """Of the replacement that is in a chain of wrappers. One made by `functools.wraps` has the attributes of ours."""
    for _ in range(100):
        switch = getattr(function, "_lambda_kit_switch", None)
        if switch is not None and switch.ours is function:
            return switch if isinstance(switch, _Switch) else None
        function = getattr(function, "__wrapped__", None)
        if function is None:
            break
    return None


class ImportWatch(importlib.abc.MetaPathFinder):
    """Calls a function for each of some modules once it is imported: at once for those that are, others when they are.

    Args:
        on_import: By module name. Called with the module, on the thread that imports it.
    """

    def __init__(self, on_import: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._on_import = dict(on_import)
        self._changing = threading.RLock()

    def start(self) -> None:
        """Watch."""
        sys.meta_path.insert(0, self)
        for name in list(self._on_import):
            if name in sys.modules:
                self._told(importlib.import_module(name))  # which waits until it is complete

    def stop(self) -> None:
        """Watch no more."""
        with self._changing:
            self._on_import.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module that is watched for, by the finders behind this one."""
        if fullname not in self._on_import:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._told)
        return spec

    def _told(self, module: ModuleType) -> None:
        with self._changing:
            tell = self._on_import.pop(module.__name__, None)
            if tell is None:
                return
            try:
                tell(module)
            except Exception:
                logger.exception("calls by '%s' can't be marked with their job", module.__name__)


class _Loader(importlib.abc.Loader):
    """Loads as another does, and says when that is done."""

    def __init__(self, loader: Any, done: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._done = done

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._done(module)
