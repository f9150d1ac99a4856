"""``lambda-kit migrate FILE``: turn a service file written for ivcap-lambda into one with classes."""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_kit.core.errors import LambdaKitError, MissingExtraError

if TYPE_CHECKING:
    from lambda_kit.cli.migration.migrate import Migration

__all__ = ["add_arguments", "run"]

_OK, _FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the service file; nothing of it is run")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--write", action="store_true", help="write the result into FILE, instead of to stdout")
    target.add_argument("-o", "--output", metavar="OUT", type=Path, help="write the result to this file")


def run(args: argparse.Namespace) -> int:
    """Migrate the file; what there is to say about it goes to stderr, line by line.

    Returns:
        0, or 1 if the file can't be migrated: then nothing is written.

    Raises:
        MissingExtraError: if libcst is not installed.
        LambdaKitError: if the file can't be read, or the result not be written.
    """
    file: Path = args.file
    try:
        source = file.read_bytes()
    except OSError as error:
        raise LambdaKitError(f"{file}: {error.strerror}") from error
    migration = _migrate(source, file)
    for finding in migration.findings:
        print(f"{file}:{finding.line}: {finding.severity.name.lower()}: {finding.text}", file=sys.stderr)
    if migration.result is None:
        print(f"{file}: not migrated, and left as it is: see the errors above", file=sys.stderr)
        return _FAILED
    target: Path | None = file if args.write else args.output
    if target is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(migration.result)
        sys.stdout.buffer.flush()
    elif target is not file or migration.result != source:
        _replace(target, migration.result)
    return _OK


def _migrate(source: bytes, file: Path) -> "Migration":
    try:
        module = importlib.import_module("lambda_kit.cli.migration.migrate")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "libcst":
            raise
        raise MissingExtraError("'lambda-kit migrate'", "migrate") from None
    migration: Migration = module.migrate(source, file)
    return migration


def _replace(target: Path, content: bytes) -> None:
    """Write a file as a whole, or not at all."""
    target = target.resolve()  # what a link points to, not the link
    temporary = None
    try:
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise LambdaKitError(f"{target}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
