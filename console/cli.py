"""The command. Nothing heavy is imported here: each command imports what it needs.

Exit codes: 0 fine, 1 a finding, 2 wrong usage or input, 3 a source or the store failed.
Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from console.errors import ConsoleError
from console.messages import complain
from console.options import COMMANDS, OPTIONS, Command

__all__ = ["build_parser", "main"]

_MODULES = {"console": "screen"}
"""Commands whose module has another name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    if not any(w in COMMANDS for w in words) and not {"-h", "--help", "--version"} & set(words):
        words = ["console", *words]
    options, more = parser.parse_known_args(words)
    rest = COMMANDS[options.command].rest if options.command else None
    # a second word behind options: argparse has given the place to none before
    if len(more) == 1 and rest and not more[0].startswith("-"):
        name = rest[0].lower()
        if getattr(options, name) is None:
            setattr(options, name, more.pop())
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has gone (a pager, head): nothing more to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    if arguments is None:
        _leave(code)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser, made from the tables of console.options."""
    parser = argparse.ArgumentParser(
        prog="modelwatch",
        description="A terminal operations console for machine-learning models in production.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelwatch {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS.values():
        _add(
            commands.add_parser(
                command.name, help=command.help, description=command.help, allow_abbrev=False
            ),
            command,
        )
    return parser


def _add(parser: argparse.ArgumentParser, command: Command) -> None:
    if command.argument is not None:
        name, choices, text = command.argument
        listed = f": {', '.join(choices)}" if choices else ""
        parser.add_argument(
            name.lower(),
            choices=choices or None,
            help=f"{text}{listed}",
            metavar=name,
            nargs="+" if command.many else "?" if command.optional else None,
            default=command.default or None,
        )
    if command.rest is not None:
        name, text = command.rest
        parser.add_argument(name.lower(), help=text, metavar=name, nargs="?")
    for flag in command.options:
        option = OPTIONS[flag]
        if not option.metavar:
            parser.add_argument(flag, action="store_true", help=command.help_of(flag))
        else:
            choices = command.choices_of(flag)
            shown = f" ({', '.join(choices)})" if choices else ""
            parser.add_argument(
                flag,
                metavar=option.metavar,
                choices=choices or None,
                default=option.default,
                action="extend" if option.many else "store",
                nargs="+" if option.many else None,
                help=command.help_of(flag) + shown,
            )


def _run(options: argparse.Namespace) -> int:
    try:
        return _handler(options.command)(options)
    except ConsoleError as error:
        from console.control.errors import ControlError  # noqa: PLC0415

        return _fail(options, error, 3 if isinstance(error, ControlError) else 2)
    except BrokenPipeError:
        raise
    except Exception as error:
        from collectors.errors import CollectorError, ContractError  # noqa: PLC0415

        if isinstance(error, ContractError):
            return _fail(options, error, 2)
        if isinstance(error, CollectorError):
            return _fail(options, error, 3)
        if options.debug:
            traceback.print_exc()
            return 3
        complain(_unexpected(error))
        return 3


def _unexpected(error: Exception) -> str:
    """What to say of a failure that nothing else says."""
    from collectors.store.troubles import is_of_disk, trouble_of  # noqa: PLC0415

    if is_of_disk(error):
        return str(trouble_of("the store failed", error))
    message = str(error).splitlines()[0] if str(error) else ""
    return (
        f"unexpected {type(error).__name__}: {message[:300]}; "
        "run it again with --debug to see where"
    )


def _fail(options: argparse.Namespace, error: Exception, code: int) -> int:
    if options.debug:
        traceback.print_exc()
    else:
        complain(error)
    return code


def _handler(command: str) -> Callable[[argparse.Namespace], int]:
    """The module of a command, imported only now, and its `run`."""
    module: Any = import_module(f"console.commands.{_MODULES.get(command, command)}")
    run: Callable[[argparse.Namespace], int] = module.run
    return run


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("modelwatch")
    except PackageNotFoundError:
        return "from a source tree"


def _leave(code: int) -> None:
    """End the process at once: DuckDB's binding prints about leaked types at a normal exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
