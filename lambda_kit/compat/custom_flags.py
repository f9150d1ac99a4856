"""Flags of a service's own, where lambda_kit has one of the same name that ivcap-lambda does not have."""

import argparse
from collections.abc import Callable
from typing import cast

__all__ = ["with_own_flags"]

_CustomArgs = Callable[[argparse.ArgumentParser], argparse.Namespace]


def with_own_flags(custom_args: _CustomArgs) -> _CustomArgs:
    """Let a service add any flag: one of lambda_kit's with its name gives way, and keeps its default.

    Args:
        custom_args: Adds flags to the parser and returns ``parser.parse_args()``.
    """

    def add_and_parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
        ours = dict(parser._option_string_actions)
        for container in (parser, *parser._action_groups):  # each has one of its own
            container.conflict_handler = "resolve"
        args = cast("object", custom_args(parser))  # whatever its annotation says
        if not isinstance(args, argparse.Namespace):
            return args  # type: ignore[return-value]  # it is refused, with a text, by who has called
        kept = argparse.Namespace(**vars(args))
        for flag, action in ours.items():
            if parser._option_string_actions.get(flag) is not action:
                setattr(kept, action.dest, action.default)
        return kept

    return add_and_parse
