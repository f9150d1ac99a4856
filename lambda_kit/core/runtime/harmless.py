"""Contexts of others around work of ours: what they raise must not harm it."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

__all__ = ["harmless"]

logger = logging.getLogger("lambda_kit.job")


@contextlib.contextmanager
def harmless(make: Callable[[], AbstractContextManager[object]], name: str) -> Iterator[None]:
    """Enter a context, and log what making, entering or leaving it raises. What the body raises passes through it.

    Args:
        make: Makes the context.
        name: What it is, for the log.
    """
    context: AbstractContextManager[object] = contextlib.nullcontext()
    try:
        context = make()
        context.__enter__()
    except Exception:
        context = contextlib.nullcontext()
        logger.exception("%s failed", name)
    raised: BaseException | None = None
    try:
        yield
    except BaseException as error:
        raised = error
        raise
    finally:
        try:
            context.__exit__(*((None, None, None) if raised is None else (type(raised), raised, raised.__traceback__)))
        except Exception as error:
            if error is not raised:
                logger.exception("%s failed", name)
