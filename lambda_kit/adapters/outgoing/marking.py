"""What is changed in a request that a tool sends: the rules, the same for every client library."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lambda_kit.adapters.outgoing.platform_hosts import Platform, Target, without_credentials
from lambda_kit.core.runtime.own_calls import is_own_call
from lambda_kit.core.tools.context import current_job, platform_headers

__all__ = ["FORWARD_FIELD", "Change", "change_of", "without_baggage"]

FORWARD_FIELD: Final = "Ivcap-Forward-Url"
_PLACEHOLDER: Final = "Bearer not-needed"
"""What `JobContext.llm_client` of ivcap-service gives as the key of a LiteLLM proxy: it stands for no key at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a request differs from what the tool made."""

    set: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    proxy: Target | None = None
    """Where it is sent instead."""
    hides_baggage: bool = False
    """Whether instrumentors that come later must not find any."""

    @property
    def copies(self) -> bool:
        """Whether the request itself is changed."""
        return bool(self.set or self.remove or self.proxy)


def change_of(platform: Platform, target: Target, headers: Mapping[str, str]) -> Change | None:
    """What to change in one request, or one hop of a redirect. None: nothing.

    Args:
        platform: What belongs to the platform.
        target: Where the request goes.
        headers: Its fields, in a mapping that does not care for case.
    """
    if is_own_call() or _is_export():
        return None
    proxy = platform.proxy_for(target)
    is_foreign = proxy is not None or not platform.owns(target)
    if is_foreign and proxy is None:
        return Change(remove=_baggage(headers), hides_baggage=True) if _entries() else None
    job = current_job()
    added = {} if job is None else platform_headers(job)
    for name in list(added):
        if name in headers and not (name == "Authorization" and headers[name] == _PLACEHOLDER):
            del added[name]  # what the tool has set itself stays
    if "traceparent" in headers:
        added.pop("tracestate", None)  # it belongs to the other one
    if proxy is None:
        return Change(added) if added else None
    forward = {FORWARD_FIELD: without_credentials(target.url)}
    return Change({**added, **forward}, _baggage(headers), proxy, hides_baggage=bool(_entries()))


def _is_export() -> bool:
    """Whether OpenTelemetry sends what it has collected, maybe on the thread of a tool."""
    context: Any = sys.modules.get("opentelemetry.context")
    if context is None:
        return False
    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    return key is not None and bool(context.get_value(key))


# --- baggage: it may say anything of the user, so it stays within the platform (W3C Baggage, privacy) ---


def _baggage(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The field to remove: what an instrumentor has written. One that the tool made itself stays."""
    if "baggage" not in headers or not _entries():
        return ()
    from opentelemetry.baggage.propagation import W3CBaggagePropagator  # noqa: PLC0415 - somebody uses it already

    injected: dict[str, str] = {}
    W3CBaggagePropagator().inject(injected)
    return ("baggage",) if headers["baggage"] == injected.get("baggage") else ()


def _entries() -> Mapping[str, object]:
    baggage: Any = sys.modules.get("opentelemetry.baggage")
    entries: Mapping[str, object] = {} if baggage is None else baggage.get_all()
    return entries


@contextlib.contextmanager
def without_baggage() -> Iterator[None]:
    """While the block lasts, instrumentors find no baggage in the context."""
    from opentelemetry import baggage, context  # noqa: PLC0415 - somebody uses it already

    token = context.attach(baggage.clear())
    try:
        yield
    finally:
        context.detach(token)
