"""What schemathesis can't know of the API, each with its reason."""

import math
from decimal import Decimal
from typing import Any

import schemathesis

PREFERENCES = ("respond-async", "wait=20", "return=representation", "respond-async, wait=1", "unknown; x=y")


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    headers = case.headers
    if "Timeout" in headers:
        headers["Timeout"] = in_digits(headers["Timeout"])
    if "Job-Time-Limit" in headers:
        headers["Job-Time-Limit"] = in_digits(headers["Job-Time-Limit"])
        if is_less_than(headers["Job-Time-Limit"], 5):
            # which the job would run over: 504
            del headers["Job-Time-Limit"]
    if "Prefer" in headers:
        # its syntax is that of RFC 7240, which no schema says; what is unknown in it is ignored
        headers["Prefer"] = PREFERENCES[len(headers["Prefer"]) % len(PREFERENCES)]
    if headers.get("Last-Event-ID") == "":
        # which stands for none: clients that begin send it
        del headers["Last-Event-ID"]
    if case.meta is not None and case.meta.generation.mode.is_positive:
        # a cursor is what the page before said; others are refused
        case.query.pop("cursor", None)


def in_digits(value: Any) -> Any:
    """A number as it stands in these headers, where JSON's exponents are refused."""
    number = as_number(value)
    return value if number is None else f"{Decimal(number):f}"


def is_less_than(value: Any, bound: float) -> bool:
    number = as_number(value)
    return number is not None and 0 < number < bound


def as_number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
