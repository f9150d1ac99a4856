"""What a tool returned, as bytes and a content type (docs/wire.md, Results), and back."""

import dataclasses
import io
from typing import Any, BinaryIO, get_args

import ivcap_service
import msgspec
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError

from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.core.model.media_type import JSON, OCTET_STREAM, is_media_type
from lambda_kit.core.runtime.tracebacks import traceback_text
from lambda_kit.core.tools.result_values import adapter_of, as_plain, dump_model, like_plain

__all__ = ["BinaryResult", "decode_result", "encodable", "encode_json", "encode_result"]

BinaryResult = ivcap_service.BinaryResult

_TEXT = "text/plain; charset=utf-8"
_SHOWN_CHARACTERS = 1024


_encoder = msgspec.json.Encoder(enc_hook=like_plain)


def encode_result(value: object, *, allows_none: bool) -> Payload | Failure:
    """Encode what `run` returned. The value decides how, not the annotation.

    Args:
        value: What `run` returned.
        allows_none: Whether its return annotation has room for `None`.

    Returns:
        The bytes; or a failure if it is `None` against the annotation (type ``no-result-error``), or can't be encoded.
    """
    if value is None and not allows_none:
        return Failure(FailureKind.NO_RESULT, "no-result-error", "service did not return a result")
    try:
        return _encode(value)
    except Exception as error:  # noqa: BLE001 - whatever a user's object raises, it can't be encoded
        message = f"the result, of type {type(value).__name__}, can't be encoded: {error}"
        trace = traceback_text(error)
        return Failure(FailureKind.ENCODING, type(error).__name__, encodable(message), encodable(trace))


def encodable(text: str) -> str:
    """A text with its lone surrogates escaped, as file names can have them: these can't be stored or sent."""
    return text.encode(errors="backslashreplace").decode()


def _encode(value: object) -> Payload | Failure:
    if isinstance(value, BaseModel):
        if isinstance(value, ivcap_service.ExecutionError):  # the seed's way to return a failure
            return _failure(value)
        return Payload(encode_json(value), JSON)
    if isinstance(value, str):
        return Payload(value.encode(), _TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Payload(bytes(value), OCTET_STREAM)
    if isinstance(value, BinaryResult):
        return _encode_binary(value)
    if isinstance(value, io.IOBase):  # it could be taken for an iterator of lines
        with value as file:
            return _encode(file.read())
    return Payload(encode_json(value), JSON)


def _failure(error: ivcap_service.ExecutionError) -> Failure:
    # made by `model_construct` its members can be anything;
    # with the status that it has over HTTP: what the tool says so is no crash
    trace = None if error.traceback is None else encodable(str(error.traceback))
    return Failure(FailureKind.TOOL, encodable(str(error.type)), encodable(str(error.error)), trace, status=500)


def encode_json(value: object) -> bytes:
    """Models, Structs, dataclasses, and plain data or what is like it, with any of them in it, as JSON.

    Numbers that JSON does not have, NaN and infinities, are null.

    Raises:
        TypeError: if it has anything else in it.
        ValueError: if it has no JSON form, or contains itself.
    """
    try:
        if isinstance(value, BaseModel):
            return _encode_model(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return _encode_dataclass(value)
        return _encode_plain(value)
    except RecursionError:
        raise ValueError("it contains itself, or is nested too deeply") from None


def _encode_model(value: BaseModel) -> bytes:
    try:
        body = value.__pydantic_serializer__.to_json(value, by_alias=True, fallback=like_plain)
    except PydanticSerializationError:
        return _encode_plain(dump_model(value))
    if b"NaN" in body or b"Infinity" in body:  # in a text; or by `ser_json_inf_nan`, as what is no JSON or no number
        return _encode_plain(dump_model(value))
    return body


def _encode_dataclass(value: Any) -> bytes:
    # msgspec leaves out the defaults of a dataclass that it decoded, and knows no models
    tp: Any = type(value)
    adapter = adapter_of(tp)
    if adapter is not None:
        try:
            return adapter.dump_json(value, by_alias=True)
        except PydanticSerializationError:  # it holds something that only msgspec knows
            pass
    return _encode_plain(value)


def _encode_plain(value: object) -> bytes:
    try:
        return _encoder.encode(value)
    except TypeError:
        return msgspec.json.encode(as_plain(value))


def _encode_binary(result: BinaryResult) -> Payload:
    content_type = str(result.content_type)
    if not is_media_type(content_type):
        raise ValueError(f"content_type {content_type[:_SHOWN_CHARACTERS]!r} is no media type such as 'image/png'")
    content: bytes | str | BinaryIO = result.content
    if not isinstance(content, (bytes, str, bytearray, memoryview)):
        with content as file:
            content = file.read()
    return Payload(content.encode() if isinstance(content, str) else bytes(content), result.content_type)


def decode_result(payload: Payload, annotation: Any) -> Any:
    """The value that `run` returned, from its bytes, for callers in Python.

    Args:
        payload: What `encode_result` made.
        annotation: The return annotation of `run`. A value that does not fit it is returned as plain JSON data.
    """
    if isinstance(annotation, type) and issubclass(annotation, BinaryResult):
        return BinaryResult(content_type=payload.content_type, content=payload.content)
    if BinaryResult in (annotation, *get_args(annotation)) and payload.content != b"null":
        return BinaryResult(content_type=payload.content_type, content=payload.content)
    if payload.content_type == JSON:
        plain = msgspec.json.decode(payload.content)
        if plain is None or annotation in (None, type(None), Any):
            return plain
        try:
            if any(
                isinstance(tp, type) and issubclass(tp, msgspec.Struct) for tp in (annotation, *get_args(annotation))
            ):
                return msgspec.json.decode(payload.content, type=annotation)
            return TypeAdapter(annotation).validate_json(payload.content)
        except Exception:  # noqa: BLE001 - an annotation need not be something that data can be validated against
            return _decode_struct(payload.content, annotation, plain)
    if payload.content_type == _TEXT:
        return payload.content.decode()
    if payload.content_type == OCTET_STREAM:
        return payload.content
    return BinaryResult(content_type=payload.content_type, content=payload.content)


def _decode_struct(content: bytes, annotation: Any, plain: Any) -> Any:
    """What has a Struct somewhere inside, which pydantic does not know."""
    try:
        return msgspec.json.decode(content, type=annotation)
    except Exception:  # noqa: BLE001 - as above
        return plain
