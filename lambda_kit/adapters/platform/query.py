"""Parameters of the platform's routes: lists page by page, filters, identifiers."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from litestar import Request

from lambda_kit.core.errors import BadRequestError, JobNotFoundError
from lambda_kit.core.model.job import JOB_URN_PREFIX

__all__ = ["bare_job_id", "flag", "matches", "now_text", "page_links", "page_of", "path_part", "whole_number"]

_JOB_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_FILTER = re.compile(r"\s*name\s*(~=|=)\s*'([^']*)'\s*")
_LONGEST_NUMBER = 9

AnyRequest = Request[Any, Any, Any]


def whole_number(request: AnyRequest, name: str, default: int | None, *, most: int = 10**_LONGEST_NUMBER) -> int | None:
    """A parameter that is a whole number, cut to `most`.

    Raises:
        BadRequestError: if it is none.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"{name}={text[:80]!r}: must be a whole number")
    return min(int(text[:_LONGEST_NUMBER]) if len(text) <= _LONGEST_NUMBER else most, most)


def flag(request: AnyRequest, name: str, *, default: bool) -> bool:
    """A parameter that is ``true`` or ``false``."""
    text = request.query_params.get(name)
    return default if text is None else text.lower() in ("true", "1", "yes")


def page_of(request: AnyRequest) -> str | None:
    """Where the page begins that is asked for, as `page_links` was told. None: at the start.

    Raises:
        BadRequestError: if it is no page of ours.
    """
    text = request.query_params.get("page")
    if not text:
        return None
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"==").decode()
    except (binascii.Error, ValueError):
        raise BadRequestError(f"page={text[:80]!r}: is no page of this list") from None


def page_links(href: str, next_page: str | None) -> list[dict[str, str]]:
    """The links of a list.

    ``page`` is the only parameter of a link: the client takes what follows ``?page=`` for it, to the end.
    """
    links = [{"rel": "self", "href": href, "type": "application/json"}]
    if next_page is not None:
        page = base64.urlsafe_b64encode(next_page.encode()).decode().rstrip("=")
        links.append({"rel": "next", "href": f"{href}?page={page}", "type": "application/json"})
    return links


def matches(request: AnyRequest) -> re.Pattern[str]:
    """What names of a list must be like.

    The parameter is ``filter``: ``name='…'``, or ``name~='…'`` with ``%`` for any text.

    Raises:
        BadRequestError: if it is anything else.
    """
    text = request.query_params.get("filter")
    if not text:
        return re.compile("", re.DOTALL)
    found = _FILTER.fullmatch(text)
    if found is None:
        raise BadRequestError(f"filter={text[:80]!r}: here it can only be name='…' or name~='…' with % for any text")
    exact = re.escape(found[2])
    pattern = exact if found[1] == "=" else exact.replace("%", ".*")
    return re.compile(rf"\A{pattern}\Z", re.DOTALL)


def bare_job_id(given: str) -> str:
    """The bare id of a job that is named by its id or its URN.

    Raises:
        JobNotFoundError: if it is neither.
    """
    has_prefix = given[: len(JOB_URN_PREFIX)].lower() == JOB_URN_PREFIX
    bare = given[len(JOB_URN_PREFIX) :] if has_prefix else given
    if not _JOB_ID.fullmatch(bare):
        raise JobNotFoundError(given[:200])
    return bare


def path_part(text: str) -> str:
    """A URN as a part of a URL's path, where colons may stay as they are (RFC 3986, 3.3)."""
    return quote(text, safe=":")


def now_text() -> str:
    """The time of a list."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
