"""The console: opens the store, keeps collecting, shows the panes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import UsageError
from console.feed import Backend, Request
from console.panes import AGREEMENT, PANES, PaneSpec
from console.paths import state_folder
from console.times import parse_duration, parse_moment
from console.tui.options import PaneInfo, ScreenOptions

if TYPE_CHECKING:  # so that a wrong use is told before pydantic is loaded
    from collectors.contract import Deployment
    from console.config import Config
    from console.control.readings import Readings
    from console.control.state import ControlState
    from console.tui.controls import Acting

__all__ = ["KeptReadings", "make_hands", "panes", "run", "screen_options"]


def run(options: argparse.Namespace) -> int:
    """Run the console until the user quits."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the console needs a terminal; use `modelwatch show PANE` here, or ssh -t")
    from console.config import find_config, load_config  # noqa: PLC0415

    # a wrong configuration is told before the screen opens; the store opens after the first paint
    path = find_config(options.config, os.environ)
    config = load_config(path)

    kept = KeptReadings()

    def backend() -> Backend:
        from console.commands.live import live_session  # noqa: PLC0415

        return live_session(options, path, config, kept.readings if config.control else None)

    def hands() -> Acting:
        from console.commands.common import store_path  # noqa: PLC0415

        store = store_path(options, path, config)
        return make_hands(options, path, config, store, kept.readings.put)

    from console.tui.run import run_app  # noqa: PLC0415

    return run_app(
        backend,
        panes(config.deployment),
        initial=initial_request(options, config.console.window),
        hands=hands if config.control else None,
        options=screen_options(
            options,
            config.console.ascii,
            config.console.charset,
            config.console.keys,
            config.console.refresh,
        ),
    )


class KeptReadings:
    """Readings of planes on their way to the store; made by the thread that comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: Readings | None = None

    @property
    def readings(self) -> Readings:
        """The one, which loads the store's library: never before the first paint."""
        with self._lock:
            if self._readings is None:
                from console.control.readings import Readings  # noqa: PLC0415

                self._readings = Readings()
            return self._readings


def make_hands(
    options: argparse.Namespace,
    path: Path,
    config: Config,
    store: Path,
    keep: Callable[[ControlState], object],
) -> Acting:
    """What looks at planes and acts on them. Loads much: never before the first paint."""
    from console.control.audit import Audit, audit_path  # noqa: PLC0415
    from console.control.hands import Hands  # noqa: PLC0415
    from console.control.who import who  # noqa: PLC0415

    return Hands(
        config.controls,
        path.resolve().parent,
        Audit(audit_path(store)),
        who("console", os.environ),
        write=bool(getattr(options, "write", False)),
        keep=keep,
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
        hint=getattr(options, "hint", ""),
    )
