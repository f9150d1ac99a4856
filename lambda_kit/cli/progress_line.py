"""How far a job is, as one line of a terminal that is written again and again."""

import logging
import re
import shutil
from typing import TextIO

from lambda_kit.core.model.job import Progress

__all__ = ["ProgressLine"]

_BAR_CHARACTERS = 24
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ProgressLine:
    """The last line of a terminal. Nothing is written where the stream is none.

    Args:
        stream: Where it is written, such as stderr.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_shown = False
        self._text = ""
        self.is_on = stream.isatty()
        """Whether the stream is a terminal."""

    def show(self, progress: Progress) -> None:
        """Show a bar with the numbers and the message of the tool."""
        if progress.total:
            share = min(max(progress.done / progress.total, 0.0), 1.0)
            bar = ("#" * round(share * _BAR_CHARACTERS)).ljust(_BAR_CHARACTERS, "-")
            numbers = f"[{bar}] {share:4.0%} {progress.done:g}/{progress.total:g}"
        else:
            numbers = f"{progress.done:g}"
        self.tell(f"{numbers} {progress.message or ''}")

    def tell(self, text: str) -> None:
        """Show a line of text instead."""
        columns = shutil.get_terminal_size().columns
        self._text = _CONTROLS.sub(" ", text).strip()[: max(columns - 1, 1)]
        self._write(f"\r\x1b[2K{self._text}")
        self._is_shown = True

    def clear(self) -> None:
        """Leave the line empty, for other output. The next `show` or `tell` writes it again."""
        if self._is_shown:
            self._is_shown = False
            self._write("\r\x1b[2K")

    def make_way_for_logs(self) -> None:
        """From now on lines of the log do not run into it."""
        for handler in logging.root.handlers:
            handler.addFilter(self._on_record)

    def _on_record(self, record: logging.LogRecord) -> bool:
        del record
        self.clear()
        return True

    def _write(self, text: str) -> None:
        if self.is_on:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
