"""From the parts of a form to a request with files (docs/wire.md, Uploads).

The parts become the JSON that a client would have sent instead, in which references stand for the files. So a form is
validated, and refused, exactly as JSON is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lambda_kit.core.model.form import FormPart, decode_form
from lambda_kit.core.model.media_type import OCTET_STREAM, charset_of, is_json
from lambda_kit.core.tools.form_fields import FieldKind, FormField, form_fields
from lambda_kit.core.tools.refusals import fault, refusal
from lambda_kit.core.tools.schema import json_schema
from lambda_kit.core.tools.type_names import type_name
from lambda_kit.core.tools.uploaded_file import UploadedFile, file_reference, referring_to

__all__ = ["FormReader", "form_reader"]

_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1"}
_TEXT = FormField(FieldKind.TEXT, is_required=False, takes_empty=True)


class FormReader:
    """Reads the forms of one tool.

    Args:
        name: What errors call the request.
        fields: The fields of the request.
        decode: Decodes a request from JSON.
    """

    def __init__(self, name: str, fields: dict[str, FormField], decode: Callable[[bytes], Any]) -> None:
        self.fields = fields
        """By the name in JSON."""
        self.file_names = frozenset(name for name, field in fields.items() if field.takes_files)
        """The names of the parts that are files."""
        self._name = name
        self._decode = decode

    def read(self, body: bytes) -> Any:
        """The request that a form stands for.

        Args:
            body: The form, as it is kept with a job.

        Raises:
            RequestValidationError: if it does not fit; it says which part, and never what was given.
        """
        files: list[UploadedFile] = []
        members: dict[str, Any] = {
            name: [] for name, field in self.fields.items() if field.kind is FieldKind.FILES and field.is_required
        }
        errors: list[dict[str, Any]] = []
        for name, parts in _by_name(decode_form(body)).items():
            field = self.fields.get(name, _TEXT)
            try:
                value = self._value(field, parts, files)
            except ValueError as error:
                errors.append(fault([name], str(error), "form_invalid"))
                continue
            if value is not msgspec.UNSET:
                members[name] = value
        if errors:
            raise refusal(self._name, errors)
        with referring_to(files):
            return self._decode(msgspec.json.encode(members))

    def _value(self, field: FormField, parts: Sequence[FormPart], files: list[UploadedFile]) -> Any:
        if field.takes_files:
            if field.kind is FieldKind.FILE and len(parts) > 1:
                raise ValueError("this field takes one file")
            values = [_file(part, files) for part in parts]
            return values[0] if field.kind is FieldKind.FILE else values
        item = field.item or field
        if field.item is not None and len(parts) == 1:
            if parts[0].size == 0 and not field.is_required:
                return msgspec.UNSET
            whole = _json(parts[0])
            if isinstance(whole, msgspec.Raw) and bytes(whole).lstrip()[:1] == b"[":
                return whole
        values = [value for value in (_plain(item, part) for part in parts) if value is not msgspec.UNSET]
        if field.item is not None:
            return values
        if len(parts) > 1:
            return values
        return values[0] if values else msgspec.UNSET


def form_reader(tp: Any, decode: Callable[[bytes], Any]) -> FormReader | None:
    """What reads the forms of a tool, or None if it takes none: its request has no files.

    Args:
        tp: The type of the tool's request.
        decode: Decodes it from JSON.
    """
    fields = form_fields(json_schema(tp))
    if not any(field.takes_files for field in fields.values()):
        return None
    return FormReader(type_name(tp), fields, decode)


def _by_name(parts: Sequence[FormPart]) -> dict[str, list[FormPart]]:
    found: dict[str, list[FormPart]] = {}
    for part in parts:
        found.setdefault(part.name, []).append(part)
    return found


def _file(part: FormPart, files: list[UploadedFile]) -> Any:
    if part.filename is None and _is_json(part):
        return _checked(part)
    content = part.content if part.path is None else Path(part.path)
    files.append(UploadedFile(content, filename=part.filename, content_type=part.content_type or OCTET_STREAM))
    return file_reference(len(files) - 1)


def _plain(field: FormField, part: FormPart) -> Any:
    """What a part that is no file is in JSON; unset if it stands for nothing."""
    if _is_json(part):
        return _checked(part)
    if part.size == 0 and not field.is_required and not field.takes_empty:
        return msgspec.UNSET
    if field.kind is FieldKind.JSON:
        value = _json(part)
        if value is not None:
            return value
        if field.takes_only_json:
            raise ValueError("the text of this field must be JSON")
    return _text(part)


def _is_json(part: FormPart) -> bool:
    return part.content_type is not None and is_json(part.content_type)


def _checked(part: FormPart) -> msgspec.Raw:
    value = _json(part)
    if value is None:
        raise ValueError("a part of type application/json must be JSON in UTF-8")
    return value


def _json(part: FormPart) -> msgspec.Raw | None:
    try:
        content = part.read()
        content.decode()
        return msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(part: FormPart) -> str:
    charset = charset_of(part.content_type or "") or "utf-8"
    if charset not in _CHARSETS:
        raise ValueError("the charset of a text must be UTF-8, US-ASCII or ISO-8859-1")
    try:
        return part.read().decode(_CHARSETS[charset])
    except UnicodeDecodeError:
        raise ValueError(f"the text of this field is not {charset.upper()}") from None
