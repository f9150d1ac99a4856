"""What a connection is served for which there are no file descriptors left: health."""

from typing import Any

from lambda_kit.adapters.http.answers import Answer
from lambda_kit.adapters.http.finish import NO_STORE, NOSNIFF
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_body, retry_after
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS

__all__ = ["only_probes"]

_CROWDED_SECONDS = 5
"""When to try again where there is no connection left."""


def only_probes(app: Any, settings: HttpSettings) -> Any:
    """An app that answers health, and refuses all else."""
    problem = Problem(503, "unavailable", "the service has no connection left: try again later")
    own = [(b"retry-after", retry_after(_CROWDED_SECONDS).encode()), NOSNIFF, NO_STORE]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith(HEALTH_PATHS):
            await app(scope, receive, send)
            return
        shared = settings.origins
        fields = own if shared is None else [*own, *shared.fields_of_answer(scope["headers"])]
        await Answer(503, problem_body(problem), PROBLEM_MEDIA_TYPE, fields)(scope, receive, send)

    return answer
