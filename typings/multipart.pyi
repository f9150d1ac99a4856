# What lambda_kit uses of `multipart`, for type checkers. Where the extra `mcp` is installed, they find a package of the
# same name first: that of `python-multipart`, which at run time makes way for this one.

from collections.abc import Generator

class MultipartError(ValueError): ...
class ParserError(MultipartError): ...
class ParserLimitReached(MultipartError): ...  # noqa: N818 - its name there

class MultipartSegment:
    headerlist: list[tuple[str, str]]
    def __init__(self, headerlist: list[tuple[str, str]]) -> None: ...
    def header(self, name: str, default: str | None = None) -> str | None: ...

class PushMultipartParser:
    _segment_count: int
    def __init__(
        self,
        boundary: str | bytes,
        content_length: int = ...,
        max_header_size: int = ...,
        max_header_count: int = ...,
        max_segment_size: float = ...,
        max_segment_count: float = ...,
        header_charset: str = ...,
        strict: bool = ...,
    ) -> None: ...
    def parse(self, chunk: bytes | bytearray) -> Generator[MultipartSegment | bytearray | None]: ...
    def close(self, check_complete: bool = ...) -> None: ...
    def _on_segment_headerline(self, line: bytes) -> None: ...
    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment: ...
