"""`modelwatch demo`: the shipped sample, replayed by a clock into a throw-away store."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import UsageError
from console.feed import Backend
from console.messages import say

if TYPE_CHECKING:
    from console.session import Session

__all__ = ["run", "sample_folder"]

START = "2013-12-31T12:00"
SPEED = 600.0
WINDOW = "1d"


def run(options: argparse.Namespace) -> int:
    """Replay on the screen, or headless with a summary on stdout; 0.

    With a proxy: really served, on the screen or as a script that proves itself.
    """
    if options.with_proxy or getattr(options, "break"):
        from console.commands.demo_proxy import run as with_proxy  # noqa: PLC0415

        return with_proxy(options)
    folder = sample_folder(options.sample)
    speed = _speed(options.speed)
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    with tempfile.TemporaryDirectory(prefix="modelwatch-demo-") as scratch:
        store = Path(options.store) if options.store else Path(scratch) / "demo.duckdb"
        if options.headless or not terminal:
            if not options.headless:
                print(  # noqa: T201
                    "there is no terminal here: run `make demo` in one (over ssh use `ssh -t`) to "
                    "see the console; this is its summary",
                    file=sys.stderr,
                )
            return _headless(options, folder, store, speed)
        return _screen(options, folder, store, speed)


def _headless(options: argparse.Namespace, folder: Path, store: Path, speed: float | None) -> int:
    from collectors.errors import CollectorError  # noqa: PLC0415
    from console.summary import summary  # noqa: PLC0415

    session = _session(options, folder, store, speed, paced=speed is not None)
    try:
        said = ""
        while session.starting or not session.finished:
            session.advance()
            if session.failed:
                raise CollectorError(session.failed)
            if session.doing and session.doing != said:
                said = session.doing
                say(said, sys.stderr)
        say(summary(session, options.window or "7d"))
    finally:
        session.close()
    return 0


def _screen(options: argparse.Namespace, folder: Path, store: Path, speed: float | None) -> int:
    from console.commands.screen import initial_request, panes, screen_options  # noqa: PLC0415
    from console.tui.run import run_app  # noqa: PLC0415

    # the time cursor of --as-of is the clock itself here: nothing later is loaded
    pinned, options.as_of = options.as_of, None
    request = initial_request(options, WINDOW)
    options.as_of = pinned

    def backend() -> Backend:
        return _session(options, folder, store, speed or SPEED, paced=True)

    return run_app(backend, panes(), initial=request, options=screen_options(options))


def _session(
    options: argparse.Namespace,
    folder: Path,
    store: Path,
    speed: float | None,
    *,
    paced: bool,
) -> Session:
    """A session over the replay: first everything up to the start, then what comes."""
    from collectors.ingest import Ingest  # noqa: PLC0415
    from collectors.replay import Replay  # noqa: PLC0415
    from collectors.store.database import Database  # noqa: PLC0415
    from console.clocks import FixedClock, ReplayClock, SteppedClock  # noqa: PLC0415
    from console.config import load_config  # noqa: PLC0415
    from console.session import Session  # noqa: PLC0415
    from console.times import parse_moment  # noqa: PLC0415

    config = load_config(folder / "modelwatch.toml")
    database = Database(store, config.engine())
    begin = parse_moment(options.as_of or options.start or START)
    ingest = Ingest(database, config.deployment, folder, lambda: begin)
    replay = Replay(ingest)
    end = replay.end()
    if options.as_of:
        clock: FixedClock | ReplayClock | SteppedClock = FixedClock(min(begin, end))
    elif paced:
        clock = ReplayClock(min(begin, end), end, speed or SPEED)
    else:
        clock = SteppedClock(min(begin, end), end, timedelta(hours=6))

    def start() -> Iterator[str]:
        yield from replay.first_load(min(begin, end))

    def feed() -> bool:
        return replay.advance(clock.now()).n_read > 0

    return Session(database, config.deployment, clock, start=start, feed=feed, end=end)


def _speed(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        speed = float(text.lower().removesuffix("x"))
    except ValueError as error:
        raise UsageError(f"--speed takes a factor like 600, not {text!r}") from error
    if not 0 < speed <= 1e7:
        raise UsageError("--speed takes a factor above 0 and up to 10000000")
    return speed


def sample_folder(given: str | None) -> Path:
    """The shipped sample, or the folder that was given. Raises UsageError."""
    candidates = (
        [Path(given)]
        if given
        else [
            Path(__file__).resolve().parents[2] / "sample_data",
            Path.cwd() / "sample_data",
        ]
    )
    for folder in candidates:
        if (folder / "modelwatch.toml").is_file():
            return folder
    if given:
        raise UsageError(f"there is no modelwatch.toml in {given}")
    raise UsageError(
        "the sample is not here; run it from a checkout, or give its folder with --sample"
    )
