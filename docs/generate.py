"""Writes docs/cli.md and docs/keys.md from the tables that the program itself reads.

python docs/generate.py            write both files
python docs/generate.py --check    say which are out of date; exit code 1 if any is
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from console.options import COMMANDS, OPTIONS, Command
from console.panes import PANES, SHOWN
from console.tui.actions import ACTIONS, GROUPS, Action

DOCS = Path(__file__).resolve().parent

GENERATED = "<!-- Written by docs/generate.py; do not edit. -->"

CLI_BEGIN = """\
# The command

Results go to stdout. Everything else goes to stderr. Nothing is coloured when it is piped.
A time without a zone is UTC.

| exit code | meaning |
|---|---|
| 0 | fine |
| 1 | a finding: of `check` or `doctor`; `record --once` got nothing but bad records |
| 2 | wrong usage, configuration or input |
| 3 | a source or the store failed |
| 130 | interrupted with ctrl+c |
| 128 + n | the console was ended by signal n |

An error is one sentence with what to do. `--debug` shows the traceback instead.
`modelwatch --version` prints the version, `modelwatch COMMAND --help` the options."""

CLI_END = """\
## Environment

| variable | meaning |
|---|---|
| `MODELWATCH_CONFIG` | the configuration, when `--config` is not given |
| `XDG_CONFIG_HOME` | where `modelwatch/modelwatch.toml` is looked for, after the current folder |
| `XDG_DATA_HOME` | where stores lie that are not configured, in `modelwatch/` |
| `XDG_STATE_HOME` | where the console's own log lies, in `modelwatch/` |
| `NO_COLOR` | no colours on the screen |
| `COLUMNS` | the width of `show --format table` when it is piped |"""

KEYS_BEGIN = """\
# Keys

Every key is bound in one table. The footer, the help page (`?`), the palette (`:`) and this page
read it. Change keys with `[console.keys]` in the [configuration](configuration.md): the name in
the last column, and keys separated by commas. An empty text takes the keys away."""

KEYS_END = """\
The figure under the cursor is where its row and its column meet: a gap in the bar. `e` explains
that one. `<` and `>` try another operating threshold on the performance pane.

While a row, an explanation, the help page or the palette is open, `escape` goes back. While a
filter is typed, letters go to the filter. A paste never presses keys. The mouse works with
`--mouse`."""

GROUP_TITLES = {
    "panes": "Panes",
    "rows": "Rows",
    "time": "Time",
    "what": "What is shown",
    "control": "Traffic",
    "app": "The console",
}


def cli() -> str:
    """docs/cli.md."""
    parts = [GENERATED, CLI_BEGIN]
    parts += ["\n\n".join(_command(c)) for c in COMMANDS.values()]
    return "\n\n".join([*parts, CLI_END]) + "\n"


def keys() -> str:
    """docs/keys.md."""
    parts = [GENERATED, KEYS_BEGIN]
    for group in GROUPS:
        rows = [_action(a) for a in ACTIONS if a.group == group and _has_pane(a)]
        parts += [f"## {GROUP_TITLES[group]}", _table(("key", "what it does", "name"), rows)]
    return "\n\n".join([*parts, KEYS_END]) + "\n"


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "keys.md": keys}


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with what they should be."""
    old = [name for name, page in PAGES.items() if _written(DOCS / name) != page()]
    if "--check" in arguments:
        for name in old:
            sys.stderr.write(f"docs/{name} is out of date: run python docs/generate.py\n")
        return 1 if old else 0
    for name in old:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"wrote docs/{name}\n")
    return 0


def _written(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _command(command: Command) -> Iterator[str]:
    argument = f" {command.argument[0]}" if command.argument else ""
    argument += " ..." if command.many else ""
    argument += f" [{command.rest[0]}]" if command.rest else ""
    yield f"## modelwatch {command.name}"
    yield f"{_sentence(command.help)}"
    yield f"`modelwatch {command.name}{argument} [options]`"
    if command.argument:
        name, choices, text = command.argument
        known = [f"`{c}`: {SHOWN[c].summary}" if c in SHOWN else f"`{c}`" for c in choices]
        yield f"{name} is {text}{':' if known else '.'}"
        if known:
            yield "\n".join(f"- {line}" for line in known)
    if command.rest:
        yield f"{command.rest[0]} is {command.rest[1]}."
    yield _table(("option", "meaning"), [_option(command, flag) for flag in command.options])


def _option(command: Command, flag: str) -> tuple[str, str]:
    option = OPTIONS[flag]
    metavar = f" {option.metavar}" if option.metavar else ""
    metavar += " ..." if option.many else ""
    text = command.help_of(flag)
    if choices := command.choices_of(flag):
        text += ": " + ", ".join(f"`{c}`" for c in choices)
    if option.default is not None:
        text += f" (default: `{option.default}`)"
    return f"`{option.flag}{metavar}`", text


def _has_pane(action: Action) -> bool:
    """Keys are there for ten panes."""
    return not action.id.startswith("pane_") or action.keys[0] in {
        str(p.key) for p in PANES.values()
    }


def _action(action: Action) -> tuple[str, str, str]:
    shown = " ".join(f"`{key}`" for key in action.keys)
    text = action.help
    if action.id.startswith("pane_"):
        named = [p.title for p in PANES.values() if str(p.key) == action.keys[0]]
        text = f"Show {named[0]}." if named else text
    return shown, text, f"`{action.id}`"


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
