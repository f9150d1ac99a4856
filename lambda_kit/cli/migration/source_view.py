"""A parsed file, and what a node of it means: its line, its qualified names, where its function is."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import libcst as cst
from libcst.metadata import (
    Assignment,
    GlobalScope,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameSource,
    ScopeProvider,
)

from lambda_kit.cli.migration.old_names import old_name

__all__ = ["SourceView", "assigned_to", "has_docstring", "text_of"]


_Node = TypeVar("_Node", bound=cst.CSTNode)


class SourceView:
    """A module with its metadata.

    Args:
        module: The parsed module; `SourceView.module` is a copy of it, whose nodes are those that are meant.
        path: Where the file is.
    """

    def __init__(self, module: cst.Module, path: Path) -> None:
        wrapper = MetadataWrapper(module)
        self.module = wrapper.module
        self.path = path
        self._positions = wrapper.resolve(PositionProvider)
        self._scopes = wrapper.resolve(ScopeProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        scope = self._scopes[self.module]
        assert isinstance(scope, GlobalScope)  # noqa: S101 - for the type checker
        self.globals = scope

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """All names in the file, also those of attributes and keywords."""
        found = _Names()
        self.module.visit(found)
        return frozenset(found.names)

    def line(self, node: cst.CSTNode) -> int:
        """The line, from 1, on which a node begins."""
        return self._positions[node].start.line

    def place(self, node: cst.CSTNode) -> tuple[int, int]:
        """Line and column of a node, to sort by."""
        start = self._positions[node].start
        return start.line, start.column

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that holds this one."""
        return self._parents.get(node)

    def parents(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes that hold this one, the nearest first."""
        above = self.parent(node)
        while above is not None:
            yield above
            above = self.parent(above)

    def owner(self, node: cst.CSTNode) -> cst.FunctionDef | cst.ClassDef | cst.Lambda | None:
        """The nearest function or class that holds a node. None: it is at the level of the module."""
        inner: cst.CSTNode = node
        for above in self.parents(node):
            if isinstance(above, cst.FunctionDef | cst.ClassDef | cst.Lambda) and _is_in_body(above, inner):
                return above
            inner = above
        return None

    def imported(self, node: cst.CSTNode | str) -> set[str]:
        """The qualified names of what a name or an attribute of an imported module means."""
        scope = self.globals if isinstance(node, str) else self._scopes.get(node)
        if scope is None:
            return set()
        names = scope.get_qualified_names_for(node)
        return {found.name for found in names if found.source is QualifiedNameSource.IMPORT}

    def qualified(self, node: cst.CSTNode) -> set[str]:
        """As `imported`, and built-in names, too."""
        scope = self._scopes.get(node)
        if scope is None:
            return set()
        names = scope.get_qualified_names_for(node)
        return {found.name for found in names if found.source is not QualifiedNameSource.LOCAL}

    def old(self, node: cst.CSTNode) -> str | None:
        """What of ivcap-lambda a node means: see `old_name`."""
        return old_name(self.imported(node))

    def annotated(self, annotation: cst.Annotation | None) -> set[str]:
        """The qualified names of an annotation's type; that of ``X | None``, ``Optional[X]`` and ``"X"`` is X."""
        return set() if annotation is None else self._annotated(annotation.annotation)

    def _annotated(self, node: cst.BaseExpression) -> set[str]:
        match node:
            case cst.SimpleString():
                return self.imported(str(ast.literal_eval(node.value)).partition("|")[0].strip())
            case cst.BinaryOperation(operator=cst.BitOr()):
                return self._annotated(node.left) | self._annotated(node.right)
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=inner)), *_]):
                return self._annotated(inner)
            case _:
                return self.imported(node)

    def function(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """The function of this module that a name means, or ``Class.method`` of a class of this module."""
        match node:
            case cst.Name(value=name):
                return self._defined(name, cst.FunctionDef)
            case cst.Attribute(value=cst.Name(value=owner), attr=cst.Name(value=name)):
                cls = self._defined(owner, cst.ClassDef)
                methods = cls.body.body if cls is not None else ()
                return next((m for m in methods if isinstance(m, cst.FunctionDef) and m.name.value == name), None)
            case _:
                return None

    def defined_class(self, name: str) -> cst.ClassDef | None:
        """The class of that name at the level of the module."""
        return self._defined(name, cst.ClassDef)

    def _defined(self, name: str, kind: type[_Node]) -> _Node | None:
        found = [assigned.node for assigned in assigned_to(self, name)]
        return found[0] if len(found) == 1 and isinstance(found[0], kind) else None

    def uses(self, name: str) -> list[cst.CSTNode]:
        """Where a name of the module is read."""
        return [access.node for assigned in self.globals[name] for access in assigned.references]


class _Names(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)


def assigned_to(view: SourceView, name: str) -> list[Assignment]:
    """What the name is bound to at the level of the module, by ``def``, ``class`` or ``=``."""
    return [found for found in view.globals[name] if isinstance(found, Assignment)]


def _is_in_body(owner: cst.FunctionDef | cst.ClassDef | cst.Lambda, inner: cst.CSTNode) -> bool:
    return inner is owner.body


def has_docstring(body: cst.BaseSuite) -> bool:
    """Whether a function's body begins with a docstring."""
    if not body.body:
        return False
    first = body.body[0]
    if isinstance(first, cst.SimpleStatementLine):
        first = first.body[0]
    return isinstance(first, cst.Expr) and isinstance(text_of(first.value), str)


def text_of(node: cst.CSTNode | None) -> str | None:
    """The value of a string literal; None for all else."""
    if not isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        return None
    value = node.evaluated_value
    return value if isinstance(value, str) else None
