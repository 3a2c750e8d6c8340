"""The console: opens the store, keeps collecting, shows the panes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from console.errors import UsageError
from console.feed import Backend, Request
from console.panes import AGREEMENT, PANES, PaneSpec
from console.paths import state_folder
from console.times import parse_duration, parse_moment
from console.tui.options import PaneInfo, ScreenOptions

if TYPE_CHECKING:  # so that a wrong use is told before pydantic is loaded
    from collectors.contract import Deployment

__all__ = ["panes", "run", "screen_options"]


def run(options: argparse.Namespace) -> int:
    """Run the console until the user quits."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the console needs a terminal; use `modelwatch show PANE` here, or ssh -t")
    from console.config import find_config, load_config  # noqa: PLC0415

    # a wrong configuration is told before the screen opens; the store opens after the first paint
    path = find_config(options.config, os.environ)
    config = load_config(path)

    def backend() -> Backend:
        from console.commands.live import live_session  # noqa: PLC0415

        return live_session(options, path, config)

    from console.tui.run import run_app  # noqa: PLC0415

    return run_app(
        backend,
        panes(config.deployment),
        initial=initial_request(options, config.console.window),
        options=screen_options(
            options,
            config.console.ascii,
            config.console.charset,
            config.console.keys,
            config.console.refresh,
        ),
    )


def initial_request(options: argparse.Namespace, window: str) -> Request:
    """What is shown first."""
    try:
        length = parse_duration(options.window or window)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Request(
        ("overview",),
        deployment=getattr(options, "deployment", None),
        window=length,
        as_of=parse_moment(options.as_of) if options.as_of else None,
    )


def panes(deployments: Iterable[Deployment] = ()) -> tuple[PaneInfo, ...]:
    """The list of panes, as the app wants it; labellers have one where any are named."""
    named = any(d.labels is not None and d.labels.labeller for d in deployments)
    return tuple(shown(p) for p in (*PANES.values(), *((AGREEMENT,) if named else ())))


def shown(p: PaneSpec) -> PaneInfo:
    """One pane, as the app wants it."""
    return PaneInfo(p.name, p.title, p.key, p.opens)


def screen_options(
    options: argparse.Namespace,
    ascii_only: bool = False,
    charset: str = "braille",
    keys: dict[str, str] | None = None,
    refresh: float = 1.0,
) -> ScreenOptions:
    """How the screen is drawn: the command line over the configuration."""
    folder = state_folder(os.environ)
    return ScreenOptions(
        ascii=options.ascii or ascii_only,
        charset=charset,
        mouse=options.mouse,
        refresh_s=refresh,
        keys=keys or {},
        log_file=folder / "console.log",
        history_file=folder / "sql_history",
        stock_driver=options.stock_driver,
    )
