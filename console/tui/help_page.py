"""The help page: every action of the table with its keys, in groups."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from console.tui.actions import ACTIONS, GROUPS, Keymap
from console.tui.cells import fit, line, wrap
from console.tui.options import PaneInfo
from console.tui.paint import BOLD, KEY, style_of
from console.views.model import Tone

__all__ = ["help_lines"]

_KEYS_WIDTH = 18
_TITLES = {
    "panes": "Panes", "rows": "Rows", "time": "Time and data", "what": "What is shown",
    "control": "Traffic (each key makes a plan; nothing changes before it is confirmed)",
    "app": "Console",
}  # fmt: skip


def help_lines(keymap: Keymap, panes: Sequence[PaneInfo], width: int) -> list[Text]:
    """Complaints about the user's keys first, then all actions that have something to do."""
    out: list[Text] = []
    for complaint in keymap.complaints:
        out += [line([(t, style_of(Tone.WARN))]) for t in wrap(complaint, width, 3)]
    if out:
        out.append(Text(""))
    titles = {f"pane_{pane.key}": pane.title for pane in panes}
    names = {pane.name for pane in panes}
    for group in GROUPS:
        out.append(line([(_TITLES[group], BOLD)]))
        for action in ACTIONS:
            if action.group != group or not action.is_there(names):
                continue
            sentence = action.help
            if action.id.startswith("pane_"):
                if action.id not in titles:
                    continue
                sentence = f"Show {titles[action.id]}."
            keys = "  ".join(keymap.by_action.get(action.id, ())) or "(no key)"
            texts = wrap(sentence, max(1, width - _KEYS_WIDTH - 2), 3)
            out.append(line([("  " + fit(keys, _KEYS_WIDTH), KEY), (texts[0], None)]))
            out += [line([(" " * (_KEYS_WIDTH + 2) + t, None)]) for t in texts[1:]]
        out.append(Text(""))
    return out
