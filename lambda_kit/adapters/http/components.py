"""The schemas that the operations of all routes share, and how they get into the OpenAPI document: once."""

import copy
from dataclasses import dataclass, fields
from typing import Any

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components

from lambda_kit.adapters.http.problems import PROBLEM_SCHEMA

__all__ = ["JOB_RECORD", "PROBLEM", "with_shared_schemas"]

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}

_JOB_RECORD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "JobRecord",
    "description": "What there is to know of a job.",
    "required": ["id", "tool", "status", "requested-at", "links"],
    "properties": {
        **dict.fromkeys(("id", "tool", "status", "request-content-type", "result-content-type"), _STRING),
        **{
            name: {"type": "string", "format": "date-time"}
            for name in ("requested-at", "started-at", "finished-at", "expires-at")
        },
        "error-message": _STRING,
        "attempt": _INTEGER,
        "queue-position": _INTEGER,
        "progress": {
            "type": "object",
            "required": ["done"],
            "properties": {"done": {"type": "number"}, "total": {"type": "number"}, "message": _STRING},
        },
        "links": {"type": "object", "additionalProperties": _STRING},
    },
}

# the names are ours alone: the document may be that of another app, with schemas of its own
_SHARED = {"lambda_kit.Problem": PROBLEM_SCHEMA, "lambda_kit.JobRecord": _JOB_RECORD_SCHEMA}

PROBLEM = {"$ref": "#/components/schemas/lambda_kit.Problem"}
"""The schema of every error body, which `with_shared_schemas` puts into the document."""

JOB_RECORD = {"$ref": "#/components/schemas/lambda_kit.JobRecord"}
"""The schema of a job's record, likewise."""


@dataclass
class _SharedComponents(Components):
    def to_schema(self) -> dict[str, Any]:
        # here, since Litestar replaces `schemas` by what it has derived from the handlers
        schema = super().to_schema()
        return schema | {"schemas": {**schema.get("schemas", {}), **_SHARED}}


def with_shared_schemas(config: OpenAPIConfig) -> OpenAPIConfig:
    """The same configuration, for a document that has our shared schemas beside what it has anyway."""
    changed = copy.copy(config)
    components = changed.to_openapi_schema().components  # which makes one of several
    changed.components = _SharedComponents(**{f.name: getattr(components, f.name) for f in fields(Components)})
    return changed
