"""Tracebacks as text, at a bounded cost: Python's own formatting has no bound for groups of exceptions."""

import logging
import traceback
from collections.abc import Iterator
from types import TracebackType

__all__ = ["TracebackFormatter", "traceback_text"]

_MAX_STEPS = 10_000
"""Of exceptions and stack frames in a traceback. Python looks at all of them, and at an exception that several groups
hold again for each: some 25 groups, each with the next one twice, would take minutes."""

_MOST_SHOWN = 15
"""Of the exceptions in a group that has too many; as `traceback` shows of each group."""

_FRAMES_SHOWN = 100


def traceback_text(error: BaseException) -> str:
    """The traceback as `traceback.format_exception` has it; where that would take too long, only that of the error.

    Raises:
        BaseException: what broken members of the error raise.
    """
    if _is_small(error):
        return "".join(traceback.format_exception(error))
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__, -_FRAMES_SHOWN)]
    lines.append(f"{type(error).__name__}: {error}\n")
    lines += (
        f"  {type(inner).__name__}: {inner}\n" for inner, _ in zip(_leaves(error), range(_MOST_SHOWN), strict=False)
    )
    lines.append("  … [too many exceptions in its groups, causes and contexts to show them all]\n")
    return "".join(lines)


class TracebackFormatter(logging.Formatter):
    """A formatter whose tracebacks are bounded in cost."""

    def formatException(  # noqa: N802 - logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The traceback, without a line feed at its end."""
        return super().formatException(ei) if ei[1] is None else traceback_text(ei[1]).removesuffix("\n")


def _is_small(error: BaseException) -> bool:
    """Whether Python can format it soon. Counts what it looks at."""
    seen: set[int] = set()
    steps, left = 0, [error]
    while left:
        current = left.pop()
        seen.add(id(current))
        steps += 1
        frame = current.__traceback__
        while frame is not None and steps <= _MAX_STEPS:
            steps, frame = steps + 1, frame.tb_next
        if steps > _MAX_STEPS:
            return False
        linked = (current.__cause__, current.__context__)
        left.extend(other for other in linked if other is not None and id(other) not in seen)
        if isinstance(current, BaseExceptionGroup):
            left.extend(current.exceptions)
    return True


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in its groups, each once."""
    seen = {id(error)}
    left = [error]
    while left:
        current = left.pop()
        if not isinstance(current, BaseExceptionGroup):
            yield current
            continue
        for inner in reversed(current.exceptions):
            if id(inner) not in seen:
                seen.add(id(inner))
                left.append(inner)
