"""The routes of artifacts: ``/1/artifacts``, whose bytes come by TUS 1.0.0 (docs/wire.md, The platform's job API)."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

from litestar import Controller, Request, get, patch, post, route
from litestar.params import FromPath
from litestar.response import Response, Stream

from lambda_kit.adapters.platform.artifact_folder import Artifact, ArtifactFolder, new_artifact
from lambda_kit.adapters.platform.bodies import chunks, json_response
from lambda_kit.adapters.platform.errors import ArtifactError
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.adapters.platform.query import matches, now_text, page_links, page_of, path_part, whole_number
from lambda_kit.adapters.platform.services import ACCOUNT, POLICY
from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.media_type import OCTET_STREAM, is_media_type
from lambda_kit.core.model.rfc3339 import rfc3339
from lambda_kit.core.runtime.threads import read_off_loop

__all__ = ["artifact_controller"]

AnyRequest = Request[Any, Any, Any]

_MOST_IN_LIST = 1000
_LONGEST_NAME = 1024
_TUS = {"Tus-Resumable": "1.0.0"}
_APPENDED = "application/offset+octet-stream"


def artifact_controller(host: PlatformHost, folder: ArtifactFolder) -> type[Controller]:
    """Make the Litestar controller of the artifacts."""

    def record(request: AnyRequest, artifact: Artifact) -> dict[str, Any]:
        return _record(artifact, f"{host.public_url(request.scope)}/1/artifacts/{path_part(artifact.urn)}")

    class PlatformArtifacts(Controller):
        path = "/1/artifacts"
        include_in_schema = False

        @post()
        async def create(self, request: AnyRequest) -> Response[bytes]:
            _check_version(request)
            artifact = await read_off_loop(folder.create, _announced(request))
            return json_response(record(request, artifact), 201, _TUS)

        @get()
        async def list(self, request: AnyRequest) -> Response[bytes]:
            limit = whole_number(request, "limit", 10, most=_MOST_IN_LIST) or 1
            found = await _found(folder, request)
            href = f"{host.public_url(request.scope)}/1/artifacts"
            items = [_list_item(artifact, f"{href}/{path_part(artifact.urn)}") for artifact in found[:limit]]
            following = _place(found[limit - 1]) if len(found) > limit else None
            return json_response({"items": items, "at-time": now_text(), "links": page_links(href, following)})

        @get("/{id:str}")
        async def read(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            return json_response(record(request, await read_off_loop(folder.get, id)))

        @get("/{id:str}/blob")
        async def download(self, request: AnyRequest, id: FromPath[str]) -> Stream:  # noqa: A002
            artifact = await read_off_loop(folder.get, id)
            fields = {
                "Content-Length": str(artifact.size),
                "Content-Security-Policy": "sandbox",  # what a browser would run has none of our pages' rights
            }
            return Stream(_bytes_of(folder, artifact), media_type=artifact.mime_type, headers=fields)

        @route("/{id:str}/blob", http_method="HEAD", status_code=200)
        async def offset(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            artifact = await read_off_loop(folder.get, id)
            return Response(b"", headers=_progress(artifact))

        @post("/{id:str}/blob")
        async def begin(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            """TUS's creation: says how long it will be, or that this comes with the last bytes."""
            artifact = await _begin(folder, id, request)
            return Response(b"", status_code=201, headers={"Location": record(request, artifact)["data-href"], **_TUS})

        @patch("/{id:str}/blob")
        async def append(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            size = await _append(folder, id, request)
            return Response(b"", status_code=204, headers={"Upload-Offset": str(size), **_TUS})

    return PlatformArtifacts


async def _found(folder: ArtifactFolder, request: AnyRequest) -> list[Artifact]:
    """The artifacts that a list is asked for, from where its page begins."""
    pattern, behind = matches(request), page_of(request)
    return [
        artifact
        for artifact in await read_off_loop(folder.all)
        if pattern.search(artifact.name or "") and (behind is None or _place(artifact) < behind)
    ]


def _progress(artifact: Artifact) -> dict[str, str]:
    """How far an upload is, as TUS says it."""
    fields = {"Upload-Offset": str(artifact.size), "Cache-Control": "no-store", **_TUS}
    if artifact.length is not None:
        fields["Upload-Length"] = str(artifact.length)
    elif artifact.is_deferred:
        fields["Upload-Defer-Length"] = "1"
    return fields


async def _begin(folder: ArtifactFolder, artifact_id: str, request: AnyRequest) -> Artifact:
    _check_version(request)
    artifact = await read_off_loop(folder.get, artifact_id)
    length = _number(request, "Upload-Length")
    if length is None and request.headers.get("upload-defer-length") != "1":
        raise BadRequestError("Upload-Length, or Upload-Defer-Length: 1, is missing")
    return await read_off_loop(folder.set_length, artifact, length)


async def _append(folder: ArtifactFolder, artifact_id: str, request: AnyRequest) -> int:
    """Write what comes; returns how many bytes are there then. What came of a request that is broken off stays."""
    _check_version(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _APPENDED:
        raise ArtifactError(415, f"Content-Type: must be {_APPENDED}")
    offset, length = _number(request, "Upload-Offset"), _number(request, "Upload-Length")
    if offset is None:
        raise BadRequestError("Upload-Offset is missing")
    artifact = await read_off_loop(folder.get, artifact_id)
    if length is not None:
        artifact = await read_off_loop(folder.set_length, artifact, length)
    upload = await read_off_loop(folder.upload, artifact, offset)
    try:
        async for piece in chunks(request):
            await read_off_loop(upload.write, piece)
    finally:
        await read_off_loop(upload.close)
    return upload.size


async def _bytes_of(folder: ArtifactFolder, artifact: Artifact) -> AsyncIterator[bytes]:
    pieces = folder.read(artifact)
    try:
        left = artifact.size  # which was announced: what is appended meanwhile is not part of this answer
        while left > 0 and (piece := await read_off_loop(next, pieces, b"")):
            yield piece[:left]
            left -= len(piece)
    finally:
        await read_off_loop(pieces.close)


def _announced(request: AnyRequest) -> Artifact:
    """The artifact that a request announces.

    Raises:
        BadRequestError: if a header is malformed.
    """
    headers = request.headers
    mime_type = headers.get("x-content-type") or OCTET_STREAM
    if not is_media_type(mime_type):
        raise BadRequestError(f"X-Content-Type {mime_type[:80]!r}: is no media type such as 'image/png'")
    text = headers.get("x-content-length", "-1")
    length = None if text == "-1" else _number(request, "X-Content-Length")
    if length is None:
        length = _number(request, "Upload-Length")
    return new_artifact(
        mime_type,
        name=_name(headers.get("x-name")),
        policy=headers.get("x-policy"),
        collection=headers.get("x-collection"),
        length=length,
    )


def _name(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    try:
        name = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadRequestError("X-Name: must be a name in UTF-8, in base64") from None
    if len(name) > _LONGEST_NAME:
        raise BadRequestError(f"X-Name: must have at most {_LONGEST_NAME} characters")
    return name


def _number(request: AnyRequest, name: str) -> int | None:
    text = request.headers.get(name.lower())
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequestError(f"{name} {text[:80]!r}: must be a whole number")
    return int(text)


def _check_version(request: AnyRequest) -> None:
    if request.headers.get("tus-resumable", "1.0.0") != "1.0.0":
        raise ArtifactError(412, "Tus-Resumable: only 1.0.0 is spoken here", {"Tus-Version": "1.0.0"})


def _place(artifact: Artifact) -> str:
    """Where it stands in the list, as text that can be compared."""
    return f"{artifact.created_at:020.6f} {artifact.uuid}"


def _list_item(artifact: Artifact, href: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": artifact.urn,
        "href": href,
        "status": artifact.status,
        "created-at": rfc3339(artifact.created_at),
        "mime-type": artifact.mime_type,
        "size": artifact.size,
    }
    return item if artifact.name is None else {**item, "name": artifact.name}


def _record(artifact: Artifact, href: str) -> dict[str, Any]:
    return {
        **_list_item(artifact, href),
        "data-href": f"{href}/blob",
        "account": ACCOUNT,
        "policy": artifact.policy or POLICY,
        "etag": f"{artifact.uuid}-{artifact.size}",
        "last-modified-at": rfc3339(artifact.changed_at or artifact.created_at),
        "links": [{"rel": "self", "href": href, "type": "application/json"}],
    }
