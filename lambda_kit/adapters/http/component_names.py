"""The names under which an OpenAPI document has its models.

They are the same at each start, whatever is imported first, and say nothing of the machine. Generators make class names
of them, and drop what they can't tell apart: so no two names differ only in case or in punctuation.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lambda_kit.core.tools.model_schemas import ModelIdentity, SchemaMode

__all__ = ["NamedModel", "component_names", "fold"]

_SUFFIXES: dict[frozenset[SchemaMode], str] = {
    frozenset({"validation"}): "Input",
    frozenset({"serialization"}): "Output",
}


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A schema that needs a name: of one class, and of one or both modes if these are alike."""

    identity: ModelIdentity
    modes: frozenset[SchemaMode]


def component_names(models: Sequence[NamedModel], taken: Iterable[str] = ()) -> list[str]:
    """Name each model, by its class where that is enough.

    Classes of one name are told apart by what encloses them, at last by their modules: `OrdersItem` and `StockItem`
    for an `Item` of each of two modules. A class that is described differently where it is taken and where it is sent
    is `ItemInput` and `ItemOutput`.

    Args:
        models: In an order that is the same at each start.
        taken: Names that are none of ours.
    """
    words = _told_apart([model.identity for model in models])
    variants = Counter(model.identity.key for model in models)
    wanted = [
        words[model.identity.key] + ("" if variants[model.identity.key] == 1 else _SUFFIXES.get(model.modes, ""))
        for model in models
    ]
    used = {fold(name) for name in taken}
    counts = Counter(map(fold, wanted))
    # first the names that only one wants, so that a number never goes to one of these
    order = sorted(range(len(models)), key=lambda n: (counts[fold(wanted[n])] > 1, wanted[n], n))
    names = [""] * len(models)
    for n in order:
        names[n] = _free(wanted[n], used)
        used.add(fold(names[n]))
    return names


def fold(name: str) -> str:
    """What generators of class names leave of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _told_apart(identities: Collection[ModelIdentity]) -> dict[str, str]:
    """For each identity a name that, if at all possible, no other one has."""
    by_name: dict[str, dict[str, ModelIdentity]] = defaultdict(dict)
    for identity in identities:
        by_name[fold(_name(identity, 0))][identity.key] = identity
    names: dict[str, str] = {}
    for group in by_name.values():
        deepest = max(len(words) for identity in group.values() for words in identity.words)
        depth = 0
        while depth < deepest - 1 and len({fold(_name(one, depth)) for one in group.values()}) < len(group):
            depth += 1
        names |= {key: _name(identity, depth) for key, identity in group.items()}
    return names


def _name(identity: ModelIdentity, depth: int) -> str:
    """The name of a class with so many words of what is around it; type arguments follow, as in `Page_Item`."""
    return "_".join(
        "".join([*map(_capitalised, words[-1 - depth : -1]), _plain(words[-1])]) for words in identity.words
    )


def _capitalised(word: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^a-zA-Z0-9]+", word))


def _plain(word: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]+", "_", word).strip("_") or "Model"


def _free(name: str, used: Collection[str]) -> str:
    number = 1
    candidate = name
    while fold(candidate) in used:
        number += 1
        candidate = f"{name}{number}"
    return candidate
