"""Starts the terminal app and turns how it ended into an exit code."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.feed import Backend, Request
from console.tui.environment import prepare_environment, speaks_utf8
from console.tui.options import PaneInfo, ScreenOptions

if TYPE_CHECKING:  # Textual is imported after the environment is set
    from console.tui.controls import Acting

__all__ = ["run_app"]


def run_app(
    backend_factory: Callable[[], Backend],
    panes: tuple[PaneInfo, ...],
    *,
    initial: Request,
    options: ScreenOptions | None = None,
    hands: Callable[[], Acting] | None = None,
) -> int:
    """Run until the user quits; 0, or 3 after an error, or 128 + the signal that ended it.

    `backend_factory` is called on the data thread after the first paint. hands: makes what looks
    at planes and acts on them, where the configuration has any; on a thread of its own.
    """
    prepare_environment()
    options = options or ScreenOptions()
    if not speaks_utf8():
        options = dataclasses.replace(options, ascii=True)
    # the screen belongs to the app: a warning printed over it would stay there
    quiet = logging.NullHandler()
    logging.getLogger("console").addHandler(quiet)

    from console.tui.app import ModelwatchApp  # noqa: PLC0415  # after the environment is set

    driver_class = None
    if not options.stock_driver and sys.platform != "win32":
        from console.tui.driver import CellDiffDriver  # noqa: PLC0415

        driver_class = CellDiffDriver
    app = ModelwatchApp(
        backend_factory,
        panes,
        initial=initial,
        options=options,
        driver_class=driver_class,
        hands=hands,
    )
    app.run(mouse=options.mouse)
    return app.return_code or 0
