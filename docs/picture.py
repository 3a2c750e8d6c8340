"""Makes docs/console.svg: the screen of the real `modelwatch demo` in a terminal of its own.

    python docs/picture.py

Run by hand when the screen has changed. It needs the test requirements (pexpect, pyte) and starts
the console of this checkout on a pty, waits for figures and writes down every cell with its colour.
"""

from __future__ import annotations

import os
import re
import sys
import time
from io import StringIO
from itertools import groupby
from pathlib import Path

import pexpect
import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

DOCS = Path(__file__).resolve().parent
WIDTH, HEIGHT = 150, 56
DEMO = ["demo", "--as-of", "2013-08-01", "--window", "30d"]
TITLE = "modelwatch " + " ".join(DEMO)
FIGURES = re.compile(r"\bv2 +[\d,]+ +\d+%")
LOADING_S, SETTLING_S = 180.0, 3.0

THEME = TerminalTheme(
    (24, 26, 31),
    (204, 208, 214),
    [
        (24, 26, 31),
        (224, 108, 117),
        (134, 179, 110),
        (214, 170, 95),
        (97, 157, 224),
        (186, 129, 210),
        (80, 170, 184),
        (204, 208, 214),
    ],
    [
        (112, 120, 134),
        (235, 128, 136),
        (152, 195, 121),
        (229, 192, 123),
        (120, 180, 240),
        (198, 145, 221),
        (96, 190, 204),
        (240, 242, 245),
    ],
)


def main(arguments: list[str]) -> int:
    """Write the picture."""
    screen = capture([*DEMO, *arguments])
    svg = picture(screen)
    (DOCS / "console.svg").write_text(svg, encoding="utf-8")
    sys.stdout.write(f"wrote docs/console.svg, {len(svg.encode()) / 1000:.0f} kB\n")
    return 0


def capture(arguments: list[str]) -> pyte.Screen:
    """The screen of the console once its figures are there."""
    unwanted = ("NO_COLOR", "TMUX", "STY", "MODELWATCH_CONFIG")
    environment = {k: v for k, v in os.environ.items() if k not in unwanted}
    environment |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "console.cli", *arguments],
        dimensions=(HEIGHT, WIDTH),
        cwd=str(DOCS.parent),
        env=environment,  # type: ignore[arg-type]
    )
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    end, found = time.monotonic() + LOADING_S, False
    while time.monotonic() < end:
        try:
            came = child.read_nonblocking(65536, timeout=0.2)
        except pexpect.TIMEOUT:
            came = b""
        # two questions to the terminal that pyte would print
        stream.feed(came.replace(b"\x1b[?2026$p", b"").replace(b"\x1b[?2048$p", b""))
        if not found and FIGURES.search("\n".join(screen.display)):
            found, end = True, time.monotonic() + SETTLING_S
    child.send("q")
    child.expect(pexpect.EOF, timeout=10)
    if not found:
        raise SystemExit("no figures came:\n" + "\n".join(screen.display))
    return screen


def picture(screen: pyte.Screen) -> str:
    """The cells as SVG, with the reader's own monospaced font."""
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=StringIO(), color_system="truecolor"
    )
    for y in range(HEIGHT):
        line = Text(no_wrap=True, end="\n")
        cells = [screen.buffer[y][x] for x in range(WIDTH)]
        for style, run in groupby(cells, _style):
            # a word at a time, and signs one by one: each has its own place in the picture, so
            # nothing moves where a font lacks a sign or its signs are wider
            for part in re.findall(r"[!-~]+| +|.", "".join(cell.data or " " for cell in run)):
                line.append(part, style)
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title=TITLE, theme=THEME, unique_id="modelwatch")
    for unwanted in (r"@font-face\s*\{[^}]*\}", r"<!--.*?-->", r"font-variant-east-asian[^;]*;"):
        svg = re.sub(r"\s*" + unwanted, "", svg)
    return svg.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")


def _style(cell: Char) -> Style:
    return Style(
        color=_colour(cell.fg),
        bgcolor=_colour(cell.bg),
        bold=cell.bold,
        italic=cell.italics,
        underline=cell.underscore,
        reverse=cell.reverse,
    )


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    name = {"brown": "yellow", "brightbrown": "brightyellow"}.get(name, name)
    return name.replace("bright", "bright_")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
