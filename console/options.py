"""Every option of the command, declared once: the parser, the help and docs/cli.md read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["COMMANDS", "OPTIONS", "Command", "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. metavar "" makes it a switch; choices limit its values; many: one or more."""

    flag: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default: str | None = None
    many: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: its options by flag, and a positional argument where it has one.

    helps, choices: what an option means, or which values it takes, where that differs from the
    common meaning. many: whether the argument may be given more than once; optional: or not.
    default: what it then is. rest: name and meaning of one more argument, which may be left out.
    """

    name: str
    help: str
    options: tuple[str, ...]
    argument: tuple[str, tuple[str, ...], str] | None = None
    helps: Mapping[str, str] = field(default_factory=dict)
    many: bool = False
    optional: bool = False
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rest: tuple[str, str] | None = None
    default: str = ""

    def choices_of(self, flag: str) -> tuple[str, ...]:
        """The values that an option takes here; none for any."""
        return self.choices.get(flag, OPTIONS[flag].choices)

    def help_of(self, flag: str) -> str:
        """What an option means here: its own words for this command, else the common ones."""
        return self.helps.get(flag, OPTIONS[flag].help)


LOG_FORMATS = (
    "csv",
    "jsonl",
    "parquet",
    "sagemaker",
    "azureml",
    "kserve",
    "seldon",
    "databricks",
    "vertex",
    "bentoml",
)
"""As `collectors.contract.FileFormat`, which is not imported at start."""

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
        Option(
            "--log", "exported logs to look at instead of a configuration's store", "LOG", many=True
        ),
        Option("--labels", "files with the ground truth of the logs", "FILE", many=True),
        Option("--reference", "a training or validation set to compare with", "FILE"),
        Option(
            "--log-format",
            "how the logs are written, where that is not found out",
            "NAME",
            LOG_FORMATS,
        ),
        Option("--timestamp", "the column of the time", "COLUMN"),
        Option("--id", "the column that identifies a prediction", "COLUMN"),
        Option("--prediction", "the column of the predicted value", "COLUMN"),
        Option("--score", "the column of the positive class's probability", "COLUMN"),
        Option("--target", "the column of the ground truth", "COLUMN"),
        Option("--version-column", "the column of the model version", "COLUMN"),
        Option("--segment-column", "a column to split figures by", "COLUMN", many=True),
        Option("--feature", "a column that is watched for drift", "COLUMN", many=True),
        Option(
            "--class-score", "CLASS=COLUMN, the probability of a class", "CLASS=COLUMN", many=True
        ),
        Option("--task", "what the model predicts", "TASK", ("binary", "multiclass", "regression")),
        Option("--positive", "the value that counts as positive", "VALUE"),
        Option("--timezone", "the zone of times that carry none, like Europe/Berlin", "ZONE"),
        Option("--traffic", "whose answers", "KIND", ("served", "shadow")),
        Option("--no-cache", "read the logs anew, and keep nothing of them"),
        Option("--format", "how to print it", "FORMAT", ("table", "json", "csv"), "table"),
        Option(
            "--require",
            "a limit, like 'recall >= 0.3' (default: those configured)",
            "LIMIT",
            many=True,
        ),
        Option("--reason", "only records with this reason", "REASON"),
        Option("--kind", "only records of this kind: predictions, labels, metrics", "KIND"),
        Option("--limit", "at most so many rows", "N"),
        Option("--rows", "raw rows too: the wrong, the unlabelled, the failed, the newest"),
        Option("--redact", "a column whose values are left out of raw rows", "COLUMN", many=True),
        Option("--keep-ids", "ids of raw rows as they are, instead of hashes"),
        Option("--force", "replace a file that is there"),
        Option("--timeout", "seconds after which a query is stopped (default: 60)", "SECONDS"),
        Option("--output", "write to this file; it must not be there yet", "FILE"),
        Option("--replay", "read the files anew that brought them, as the configuration is now"),
        Option("--once", "collect what is there and end"),
        Option("--interval", "seconds between two looks at files (default: 1)", "SECONDS"),
        Option(
            "--listen",
            "answer there over HTTP: health, metrics, pushed records (this host only)",
            "HOST:PORT",
        ),
        Option("--log-as", "how to log what happens", "FORM", ("text", "json"), "text"),
        Option("--write", "allow changes of the outside world; each is still shown and confirmed"),
        Option("--dry-run", "make the plan and try it, change nothing"),
        Option(
            "--yes-i-mean", "confirm without a terminal: the deployment whose traffic moves", "NAME"
        ),
        Option("--input", "an audit that was moved or exported, instead of the store's", "FILE"),
        Option("--head", "number and hash of an entry, as noted elsewhere", "NUMBER:HASH"),
        Option("--headless", "without a terminal: replay, then a summary on stdout"),
        Option(
            "--speed", "replayed seconds a second (headless default: as fast as it goes)", "FACTOR"
        ),
        Option("--sample", "another folder with a modelwatch.toml to replay", "FOLDER"),
        Option("--with-proxy", "the models really served, behind an Envoy of its own"),
        Option("--rate", "requests a second behind the proxy (default: 100)", "N"),
        Option(
            "--break",
            "in another terminal: break v2 (errors, latency, feature, down, off; or v1=errors)",
            "HOW",
        ),
        Option("--ascii", "ASCII only, for terminals without UTF-8"),
        Option("--mouse", "let the mouse work too"),
        Option("--stock-driver", "draw with Textual's own driver instead of the cell-diffing one"),
    )
}

MAPPING = (
    "--timestamp",
    "--id",
    "--prediction",
    "--score",
    "--target",
    "--version-column",
    "--segment-column",
    "--feature",
    "--class-score",
    "--task",
    "--positive",
    "--timezone",
    "--traffic",
)
"""Which column of exported logs plays which role."""

LOG_FLAGS = ("--labels", "--reference", "--log-format", *MAPPING)
"""What says how exported logs are read."""

_LOGS = ("--log", *LOG_FLAGS, "--no-cache")
"""Exported logs in place of a configuration, for every command that reads."""

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

PANE_NAMES = (
    "overview",
    "performance",
    "drift",
    "subgroups",
    "traffic",
    "data",
    "versions",
    "rows",
    "system",
    "agreement",
)

COMMANDS: dict[str, Command] = {
    c.name: c
    for c in (
        Command(
            "console",
            "the console (also without any command)",
            (*_COMMON, "--deployment", "--window", "--as-of", "--write", *_SCREEN),
        ),
        Command(
            "demo",
            "the shipped sample, replayed into a throw-away store",
            (
                "--headless",
                "--with-proxy",
                "--rate",
                "--break",
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
            (
                *_COMMON,
                *_WINDOW,
                *_COMPARED,
                "--threshold",
                "--kind",
                "--limit",
                "--format",
                *_LOGS,
            ),
            ("PANE", PANE_NAMES, "which pane"),
            helps={
                "--kind": "which rows (pane rows): wrong (default), false_positive, "
                "false_negative, unlabelled, failed, all, outside=FEATURE",
                "--limit": "how many rows (panes rows, agreement; default: 100)",
            },
        ),
        Command(
            "explain",
            "why a figure changed between two windows, versions or against the reference",
            (*_COMMON, *(o for o in _WINDOW if o != "--step"), "--against", "--format", *_LOGS),
            ("METRIC", (), "the figure that changed, like f1, recall, log_loss, mae or coverage"),
            helps={
                "--against": "what it changed from: before (default where it has labels), reference"
                " (default else), week, version=V, known=TIME, TIME..TIME",
            },
        ),
        Command(
            "open",
            "exported logs on the screen, without a configuration",
            (
                "--labels",
                "--reference",
                "--log-format",
                *MAPPING,
                "--version",
                "--segment",
                "--window",
                "--as-of",
                "--no-cache",
                "--debug",
                *_SCREEN,
            ),
            ("LOG", (), "files, folders, globs, or - for standard input"),
            helps={
                "--version": "the same as --version-column",
                "--segment": "the same as --segment-column",
                "--window": "length of the window (default: the whole log)",
            },
            many=True,
        ),
        Command(
            "init",
            "look at a log, propose a modelwatch.toml",
            (
                "--labels",
                "--reference",
                "--log-format",
                *MAPPING,
                "--version",
                "--segment",
                "--output",
                "--force",
                "--debug",
            ),
            ("LOG", (), "files, folders or globs"),
            helps={
                "--version": "the same as --version-column",
                "--segment": "the same as --segment-column",
                "--output": "write to this file instead of standard output",
            },
            many=True,
        ),
        Command(
            "export",
            "an incident bundle: figures of a window, a report, raw rows if wanted, in one file",
            (
                *_COMMON,
                *(o for o in _WINDOW if o != "--step"),
                "--output",
                "--force",
                "--rows",
                "--limit",
                "--redact",
                "--keep-ids",
                *_LOGS,
            ),
            helps={"--limit": "raw rows of each kind (default: 100)"},
        ),
        Command(
            "record",
            "collect from the configured sources into the store",
            (*_COMMON, "--once", "--interval", "--listen", "--log-as", "--write"),
            helps={"--write": "carry ramps on and let fallback rules act ([[control]])"},
        ),
        Command(
            "sql",
            "a query on the store: read only, without files or network, limited",
            (*_COMMON, "--limit", "--timeout", "--output", "--format", *_LOGS),
            ("QUERY", (), "one SELECT or DESCRIBE (default: standard input)"),
            helps={"--limit": "at most so many rows (default: 1000)"},
            choices={"--format": ("table", "json", "csv", "parquet")},
            optional=True,
        ),
        Command(
            "gate",
            "codified decisions: exit 0 pass, 1 fail, 2 cannot tell",
            (
                *_COMMON,
                *(o for o in _WINDOW if o != "--step"),
                "--require",
                "--peek-safe",
                "--format",
                *_LOGS,
            ),
        ),
        Command(
            "quarantine",
            "records that could not be used: list them, export them, read them anew",
            (
                *_COMMON,
                "--deployment",
                "--reason",
                "--kind",
                "--limit",
                "--output",
                "--replay",
                "--format",
                *_LOGS,
            ),
            helps={
                "--format": "how to print them: records is their content alone, one a line",
                "--limit": "the newest so many (default: 100; all of them with --output)",
            },
            choices={"--format": ("table", "json", "csv", "records")},
        ),
        Command(
            "store",
            "the store file: what is in it, make it small, build its rollups anew, copy it",
            (*_COMMON, "--force", "--format"),
            ("ACTION", ("info", "vacuum", "rebuild", "backup"), "what to do"),
            helps={"--format": "how to print it (info)", "--force": "replace a file (backup)"},
            choices={"--format": ("table", "json")},
            rest=("WHAT", "the file to write (backup), or one deployment (rebuild; default: all)"),
        ),
        Command(
            "traffic",
            "how traffic is split between versions, and moving it; changes need --write",
            (
                *_COMMON,
                "--deployment",
                "--window",
                "--reason",
                "--dry-run",
                "--write",
                "--yes-i-mean",
                "--format",
            ),
            (
                "ACTION",
                ("show", "set", "ramp", "rollback", "undo", "complete", "settle"),
                "what to do (default: show)",
            ),
            optional=True,
            default="show",
            helps={
                "--reason": "why, for the audit (set and ramp must have one)",
                "--window": "what the evidence is of (default: the configuration's)",
            },
            choices={"--format": ("table", "json")},
            rest=(
                "WHAT",
                "the shares in percent, like v2=25 (set); "
                "the version to roll out, or status, pause, resume, promote, abort (ramp)",
            ),
        ),
        Command(
            "fallback",
            "to an older model or a heuristic and back; whether it is better; changes need --write",
            (
                *_COMMON,
                "--deployment",
                "--window",
                "--reason",
                "--dry-run",
                "--write",
                "--yes-i-mean",
                "--format",
            ),
            ("ACTION", ("on", "off", "status", "preview"), "what to do (default: status)"),
            optional=True,
            default="status",
            helps={
                "--reason": "why, for the audit",
                "--window": "what is looked back on (default: the configuration's)",
            },
            choices={"--format": ("table", "json")},
            rest=("TARGET", "the arm to fall back to (default: the first target that is up)"),
        ),
        Command(
            "audit",
            "what was changed, by whom and why; is the record of it whole (exit 1: it is not)",
            (
                *_COMMON,
                "--deployment",
                "--input",
                "--limit",
                "--head",
                "--output",
                "--force",
                "--format",
            ),
            ("ACTION", ("show", "verify", "export"), "what to do (default: show)"),
            optional=True,
            default="show",
            helps={
                "--deployment": "entries of one deployment only",
                "--limit": "the newest so many (show; default: 50)",
                "--output": "write to this file instead of standard output (export)",
                "--format": "how to print it; export writes the lines as they are, or csv",
            },
        ),
        Command("check", "is the configuration right, and do its files fit", _COMMON),
        Command("doctor", "versions, paths, terminal and store", _COMMON),
    )
}
