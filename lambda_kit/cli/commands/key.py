"""``lambda-kit key``: makes an API key."""

import argparse
import os
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from lambda_kit.adapters.auth.key_file import hash_of, key_line, new_key, parse_keys
from lambda_kit.core.errors import LambdaKitError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--name", metavar="NAME", help="whose it is; keys of one name see the same jobs (a new name)")
    parser.add_argument(
        "--scopes", metavar="A,B", type=_scopes, default=(), help="what it may do; 'admin' sees the jobs of all (none)"
    )
    parser.add_argument(
        "--expires", metavar="DATE|DAYS", type=_last_day, help="its last day in UTC, as 2027-01-31 or as 90 (none)"
    )
    parser.add_argument(
        "--append", metavar="FILE", type=Path, help="add the line to this file of keys, which is made if need be"
    )


def run(args: argparse.Namespace) -> int:
    """Print a new key to stdout, and its line to stderr, unless that is added to a file.

    Returns:
        0.

    Raises:
        LambdaKitError: if the name or a scope can't be written, or the file has a wrong line or can't be written.
    """
    key = new_key()
    name: str = args.name or f"key-{hash_of(key).hex()[:8]}"
    line = key_line(key, name, scopes=args.scopes, expires=args.expires)
    if args.append is None:
        print(f"The line for the file of keys:\n{line}\nThe key, which is shown only now:", file=sys.stderr, flush=True)
    else:
        _append(args.append, line)
        print(f"{args.append} has a new line. The key, which is shown only now:", file=sys.stderr, flush=True)
    print(key)
    return 0


def _scopes(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (scope.strip() for scope in text.split(","))))


def _last_day(text: str) -> date:
    today = datetime.now(UTC).date()
    try:
        day = today + timedelta(days=int(text)) if text.isdecimal() else date.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("must be a date such as 2027-01-31, or a number of days") from None
    if day < today:
        raise argparse.ArgumentTypeError("is over already")
    return day


def _append(file: Path, line: str) -> None:
    """Add a line in one write, so that a service which reads meanwhile has it or has it not."""
    try:
        # for its owner, and a group that an administrator may give it; a file that is there keeps its mode
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        with os.fdopen(descriptor, "rb+", buffering=0) as opened:
            before = opened.read() or b""
            parse_keys(before.decode(), str(file))
            opened.write(b"\n"[: bool(before) and not before.endswith(b"\n")] + line.encode() + b"\n")
    except UnicodeDecodeError:
        raise LambdaKitError(f"{file} is not UTF-8") from None
    except OSError as error:
        raise LambdaKitError(f"{file}: {error.strerror}") from error
