"""A label for people and a tag for the OpenAPI page, read from a tool's path."""

__all__ = ["path_title"]

# Words that end like a plural and are none, or whose plural follows no rule.
_IRREGULAR = {
    "aliases": "alias",
    "analyses": "analysis",
    "atlas": "atlas",
    "bias": "bias",
    "buses": "bus",
    "caches": "cache",
    "canvas": "canvas",
    "chaos": "chaos",
    "cookies": "cookie",
    "gas": "gas",
    "https": "https",
    "indices": "index",
    "kubernetes": "kubernetes",
    "lens": "lens",
    "matrices": "matrix",
    "movies": "movie",
    "news": "news",
    "quizzes": "quiz",
    "series": "series",
    "species": "species",
    "statuses": "status",
    "vertices": "vertex",
    "viruses": "virus",
}
_SINGULAR_ENDINGS = ("ss", "us", "is")
_ES_PLURALS = ("sses", "xes", "zzes", "ches", "shes", "oes")
_SHORTEST_PLURAL = 4


def path_title(path: str) -> tuple[str, str]:
    """The label and the tag of the tool at `path`: its last segment as words, the last one in the singular.

    Segments that are path parameters don't count. `/many/things` gives `("thing", "Thing")`; `/`, which says
    nothing, gives `("Execute the tool", "Tool")`.
    """
    segments = [segment for segment in path.split("/") if segment and not segment.startswith("{")]
    words = segments[-1].replace("_", " ").replace("-", " ").split() if segments else []
    if not words:
        return "Execute the tool", "Tool"
    words[-1] = _singular(words[-1])
    title = " ".join(words)
    return title[0].lower() + title[1:], title[0].upper() + title[1:]


def _singular(word: str) -> str:
    lower = word.lower()
    if lower in _IRREGULAR:
        singular = _IRREGULAR[lower]
        return singular.capitalize() if word[0].isupper() else singular
    if len(word) < _SHORTEST_PLURAL or not lower.endswith("s") or lower.endswith(_SINGULAR_ENDINGS):
        return word
    if lower.endswith("ies"):
        return f"{word[:-3]}y" if len(word) > _SHORTEST_PLURAL else word[:-1]
    return word[:-2] if lower.endswith(_ES_PLURALS) else word[:-1]
