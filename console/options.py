"""Every option of the command, declared once: the parser, the help and docs/cli.md read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["COMMANDS", "OPTIONS", "Command", "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. metavar "" makes it a switch; choices limit its values."""

    flag: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: its options by flag, and a positional argument where it has one.

    helps: what an option means where that differs from the common meaning.
    """

    name: str
    help: str
    options: tuple[str, ...]
    argument: tuple[str, tuple[str, ...], str] | None = None
    helps: Mapping[str, str] = field(default_factory=dict)

    def help_of(self, flag: str) -> str:
        """What an option means here: its own words for this command, else the common ones."""
        return self.helps.get(flag, OPTIONS[flag].help)


OPTIONS: dict[str, Option] = {
    o.flag: o
    for o in (
        Option("--config", "the configuration (default: ./modelwatch.toml, then XDG)", "FILE"),
        Option("--store", "the store file, instead of the configuration's", "FILE"),
        Option("--debug", "show tracebacks of errors"),
        Option("--deployment", "one deployment (default: the first)", "NAME"),
        Option(
            "--window", "length of the window that ends at the clock: 90m, 6h, 7d, 4w", "LENGTH"
        ),
        Option("--as-of", "look at it as it stood then (ISO time; UTC without a zone)", "TIME"),
        Option("--start", "start of the window", "TIME"),
        Option("--end", "end of the window", "TIME"),
        Option(
            "--step",
            "length of one row of a series",
            "STEP",
            ("hour", "day", "week", "month", "all"),
        ),
        Option("--version", "one version only", "VERSION"),
        Option(
            "--segment",
            "a segment, a value or a cross: origin, origin=EWR, origin,carrier",
            "SEGMENT",
        ),
        Option(
            "--against",
            "what to compare with: reference, before, week, version=V, known=TIME, TIME..TIME",
            "WHAT",
        ),
        Option("--threshold", "try another operating threshold of the score, 0 to 1", "SCORE"),
        Option("--peek-safe", "intervals that hold however often one looks while data come"),
        Option("--format", "how to print it", "FORMAT", ("table", "json", "csv"), "table"),
        Option("--once", "collect what is there and end"),
        Option("--interval", "seconds between two looks at the sources", "SECONDS", (), "10"),
        Option("--headless", "without a terminal: replay, then a summary on stdout"),
        Option(
            "--speed", "replayed seconds a second (headless default: as fast as it goes)", "FACTOR"
        ),
        Option("--sample", "another folder with a modelwatch.toml to replay", "FOLDER"),
        Option("--ascii", "ASCII only, for terminals without UTF-8"),
        Option("--mouse", "let the mouse work too"),
        Option("--stock-driver", "draw with Textual's own driver instead of the cell-diffing one"),
    )
}

_COMMON = ("--config", "--store", "--debug")
_WINDOW = (
    "--deployment",
    "--window",
    "--as-of",
    "--start",
    "--end",
    "--step",
    "--version",
    "--segment",
)
_SCREEN = ("--ascii", "--mouse", "--stock-driver")

_COMPARED = ("--against", "--peek-safe")

PANE_NAMES = ("overview", "performance", "drift", "subgroups", "traffic", "data", "versions")

COMMANDS: dict[str, Command] = {
    c.name: c
    for c in (
        Command(
            "console",
            "the console (also without any command)",
            (*_COMMON, "--deployment", "--window", "--as-of", *_SCREEN),
        ),
        Command(
            "demo",
            "the shipped sample, replayed into a throw-away store",
            (
                "--headless",
                "--speed",
                "--start",
                "--as-of",
                "--window",
                "--store",
                "--sample",
                "--debug",
                *_SCREEN,
            ),
            helps={
                "--start": "where the replay starts; what came before is loaded at once",
                "--as-of": "no replay: everything up to this time, as it stood then",
                "--store": "keep the store here instead of throwing it away",
            },
        ),
        Command(
            "show",
            "what a pane shows, as a table, JSON or CSV",
            (*_COMMON, *_WINDOW, *_COMPARED, "--threshold", "--format"),
            ("PANE", PANE_NAMES, "which pane"),
        ),
        Command(
            "explain",
            "why a figure changed between two windows, versions or against the reference",
            (*_COMMON, *(o for o in _WINDOW if o != "--step"), "--against", "--format"),
            ("METRIC", (), "the figure that changed, like f1, recall, log_loss, mae or coverage"),
            helps={
                "--against": "what it changed from: before (default where it has labels), reference"
                " (default else), week, version=V, known=TIME, TIME..TIME",
            },
        ),
        Command(
            "record",
            "collect from the configured sources into the store",
            (*_COMMON, "--once", "--interval"),
        ),
        Command("check", "is the configuration right, and do its files fit", _COMMON),
        Command("doctor", "versions, paths, terminal and store", _COMMON),
    )
}
