"""The one table of actions: bindings, footer, help screen, palette and docs all read it.

Nothing here imports Textual, so docs and tests can read it too. Keys are written as the user
would: "j", "G", "[", "tab", "shift+tab", "pageup", "ctrl+l".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "ACTIONS",
    "FOOTER",
    "FOOTER_END",
    "GROUPS",
    "HANDS",
    "Action",
    "Keymap",
    "key_name",
    "make_keymap",
]

GROUPS = ("panes", "rows", "time", "what", "control", "app")


@dataclass(frozen=True, slots=True)
class Action:
    """Something a key does. `label` is for the footer and the palette, `help` a sentence.

    pane: the one pane that it is about; without that pane there is no such action.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    pane: str = ""

    def is_there(self, panes: Collection[str]) -> bool:
        """Whether it has something to do where these panes are."""
        return not self.pane or self.pane in panes


ACTIONS: tuple[Action, ...] = (
    *(Action(f"pane_{n}", (str(n),), f"pane {n}", f"Show pane {n}.", "panes")
      for n in (*range(1, 10), 0)),
    Action("labellers", ("L",), "labellers",
           "Show how far people who label the same predictions agree.", "panes", "agreement"),
    Action("next_pane", ("tab",), "pane", "Go to the next pane.", "panes"),
    Action("previous_pane", ("shift+tab",), "pane back", "Go to the previous pane.", "panes"),
    Action("zoom", ("z",), "zoom", "Show this pane alone, or all panes again.", "panes"),
    Action("plot", ("v",), "plot", "Show table and plot, only the plot, or only the table.",
           "panes"),
    Action("down", ("j", "down"), "down", "Move one row down.", "rows"),
    Action("up", ("k", "up"), "up", "Move one row up.", "rows"),
    Action("left", ("h", "left"), "left", "Move one column to the left.", "rows"),
    Action("right", ("l", "right"), "right", "Move one column to the right.", "rows"),
    Action("page_down", ("pagedown", "space"), "page down", "Move one page down.", "rows"),
    Action("page_up", ("pageup",), "page up", "Move one page up.", "rows"),
    Action("top", ("g", "home"), "top", "Go to the first row.", "rows"),
    Action("bottom", ("G", "end"), "bottom", "Go to the last row.", "rows"),
    Action("open", ("enter",), "open", "Open the row: everything known about it.", "rows"),
    Action("explain", ("e",), "explain", "Explain the figure under the cursor: why it changed.",
           "rows"),
    Action("rows_behind", ("x",), "raw rows",
           "List the raw rows behind the figure under the cursor.", "rows"),
    Action("row_kind", ("X",), "other rows",
           "List other raw rows: wrong, without a label, failed, all.", "rows", "rows"),
    Action("query", ("i",), "query", "Type a SQL query over the opened log.", "rows", "sql"),
    Action("back", ("escape",), "back", "Go back, or clear the filter.", "rows"),
    Action("filter", ("/",), "filter", "Keep only rows that contain a text.", "rows"),
    Action("sort", ("s",), "sort", "Sort by the next column; after the last, not at all.", "rows"),
    Action("reverse", ("S",), "reverse", "Turn the order of the sorted column round.", "rows"),
    Action("copy", ("y",), "copy", "Copy the table to the clipboard, tab separated.", "rows"),
    Action("save", ("w",), "write", "Write the table to a CSV file.", "rows"),
    Action("pause", ("p",), "pause", "Pause or resume: a paused screen stays as it is.", "time"),
    Action("refresh", ("r",), "refresh", "Ask for new figures now.", "time"),
    Action("step_back", ("[",), "earlier", "Step the time cursor back by one window.", "time"),
    Action("step_forward", ("]",), "later",
           "Step the time cursor forward by one window; past the clock, follow it.", "time"),
    Action("go_to_time", ("t",), "go to time", "Look at a typed time as it stood then.", "time"),
    Action("now", ("=",), "now", "Follow the clock again.", "time"),
    Action("window_down", ("{",), "shorter", "Look at a shorter window.", "time"),
    Action("window_up", ("}",), "longer", "Look at a longer window (1 hour to 365 days).", "time"),
    Action("deployment", ("d",), "deployment", "Go to the next deployment.", "what"),
    Action("version", ("n",), "version", "Show all versions together, or the next one alone.",
           "what"),
    Action("segment", ("b",), "segment", "Break down by the next segment, or by none.", "what"),
    Action("against", ("a",), "compare",
           "Compare with the reference, the window before, the week before, or another version.",
           "what"),
    Action("against_typed", ("A",), "compare with",
           "Type what to compare with: a version, an earlier time, or a window of its own.",
           "what"),
    Action("threshold_down", ("<",), "threshold down",
           "Try an operating threshold that is lower by 0.01.", "what"),
    Action("threshold_up", (">",), "threshold up",
           "Try an operating threshold that is higher by 0.01.", "what"),
    Action("threshold_reset", ("_",), "threshold in service",
           "Go back to the operating threshold in service.", "what"),
    Action("move_traffic", ("m",), "move traffic",
           "Plan another split of the traffic: type the shares and why.", "control", "traffic"),
    Action("roll_back", ("R",), "roll back", "Plan to send all traffic to the stable version.",
           "control", "traffic"),
    Action("fall_back", ("F",), "fall back",
           "Plan to fall back, or to return to what was before.", "control", "traffic"),
    Action("undo_change", ("U",), "undo",
           "Plan to go back to the split before the last change.", "control", "traffic"),
    Action("complete_change", ("C",), "complete",
           "Plan to bring the last change to where it has not arrived.", "control", "traffic"),
    Action("last_plan", ("o",), "last plan",
           "Show the last plan again, or what became of it.", "control", "traffic"),
    Action("help", ("?",), "help", "Show every key.", "app"),
    Action("palette", (":", "ctrl+p"), "palette", "Find an action or a deployment by name.",
           "app"),
    Action("redraw", ("ctrl+l",), "redraw", "Draw the whole screen again.", "app"),
    Action("quit", ("q",), "quit", "Leave modelwatch.", "app"),
    Action("interrupt", ("ctrl+c",), "how to quit", "Say how to quit; nothing stops by accident.",
           "app"),
)  # fmt: skip

# What the footer has room for, most needed first; help and quit stand at the end on any width.
# Keys that belong together share a label.
FOOTER: tuple[tuple[tuple[str, ...], str], ...] = (
    (("back",), "back"), (("move_traffic",), "move"), (("roll_back",), "roll back"),
    (("fall_back",), "fall back"), (("open",), "open"), (("explain",), "explain"),
    (("rows_behind",), "raw rows"), (("filter",), "filter"),
    (("against",), "compare"), (("pause",), "pause"),
    (("step_back", "step_forward", "go_to_time"), "time"), (("window_down", "window_up"), "window"),
    (("palette",), "palette"), (("deployment",), "deployment"), (("zoom",), "zoom"),
    (("sort",), "sort"), (("now",), "now"), (("plot",), "plot"), (("version",), "version"),
    (("segment",), "segment"), (("threshold_down", "threshold_up"), "threshold"),
    (("copy",), "copy"), (("refresh",), "refresh"), (("next_pane",), "next pane"),
)  # fmt: skip
HANDS = frozenset({"move_traffic", "roll_back", "fall_back"})
"""Keys that stand in the footer only where traffic can be moved."""

FOOTER_END: tuple[tuple[tuple[str, ...], str], ...] = ((("help",), "help"), (("quit",), "quit"))

_ALIASES = MappingProxyType({
    "esc": "escape", "return": "enter", "pgup": "pageup", "pgdn": "pagedown", "pgdown": "pagedown",
    "page up": "pageup", "page down": "pagedown", "del": "delete", "back tab": "shift+tab",
    " ": "space", "comma": ",",
})  # fmt: skip
_NAMED = frozenset({
    "tab", "shift+tab", "up", "down", "left", "right", "pageup", "pagedown", "home", "end",
    "enter", "escape", "space", "backspace", "delete", "insert",
    *(f"f{n}" for n in range(1, 13)),
})  # fmt: skip
_NEVER_ARRIVE = MappingProxyType({
    "ctrl+h": "backspace", "ctrl+i": "tab", "ctrl+j": "enter", "ctrl+m": "enter",
    "ctrl+[": "escape",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keymap:
    """Which key does what. `complaints` are sentences about the user's settings."""

    by_key: Mapping[str, Action]
    by_action: Mapping[str, tuple[str, ...]]
    complaints: tuple[str, ...]

    def key_of(self, action: str) -> str:
        """The first key of an action, as shown to the user; "" if it has none."""
        keys = self.by_action.get(action, ())
        return keys[0] if keys else ""


def key_name(key: str, character: str | None) -> str:
    """The name of a pressed key in this table: the character if it is a visible one."""
    if character and len(character) == 1 and character.isprintable() and character != " ":
        return character
    return key


def make_keymap(
    remaps: Mapping[str, str] | None = None, actions: Iterable[Action] = ACTIONS
) -> Keymap:
    """Default keys with the user's over them; on a clash the user's setting wins.

    remaps: action id -> keys separated by commas; an empty text takes all keys away.
    """
    table = tuple(actions)
    complaints: list[str] = []
    chosen = _read_remaps(remaps or {}, {action.id for action in table}, complaints)
    by_key: dict[str, Action] = {}
    by_action: dict[str, tuple[str, ...]] = {}
    for action in sorted(table, key=lambda action: action.id not in chosen):
        mine = action.id in chosen
        kept: list[str] = []
        for key in chosen.get(action.id, action.keys):
            other = by_key.get(key)
            if other is None:
                by_key[key] = action
                kept.append(key)
            elif other is not action:
                complaints.append(
                    f'The key "{key}" is set for {other.id}'
                    f"{' and for' if mine else ', so it is no longer'} {action.id}"
                    f"{f'; {other.id} has it.' if mine else '.'}"
                )
        by_action[action.id] = tuple(kept)
    complaints.extend(
        f"No key is left for {needed}; the palette still has it."
        for needed in ("quit", "help")
        if needed in by_action and not by_action[needed]
    )
    return Keymap(by_key, by_action, tuple(complaints))


def _read_remaps(
    remaps: Mapping[str, str], known: set[str], complaints: list[str]
) -> dict[str, tuple[str, ...]]:
    chosen: dict[str, tuple[str, ...]] = {}
    for action_id, text in remaps.items():
        if action_id not in known:
            complaints.append(f'There is no action "{action_id}" to set a key for.')
            continue
        keys: list[str] = []
        parts = [text] if text in {",", " "} else [part.strip() for part in text.split(",")]
        for part in parts:
            if not part:
                continue
            key = _ALIASES.get(part.lower(), part) if len(part) > 1 else _ALIASES.get(part, part)
            problem = _problem_with(key)
            if problem:
                complaints.append(f'The key "{part}" for {action_id} {problem}.')
            else:
                keys.append(key)
        if keys or not text.strip():
            chosen[action_id] = tuple(keys)
    return chosen


def _problem_with(key: str) -> str:
    if key in _NEVER_ARRIVE:
        return f"is the same as {_NEVER_ARRIVE[key]} in a terminal; choose another"
    if key.startswith("alt+"):
        return "does not arrive through every terminal; choose another"
    if len(key) == 1 and key.isprintable():
        return ""
    if key in _NAMED or (key.startswith("ctrl+") and len(key) == 6 and key[5].isalpha()):
        return ""
    return "is not a key modelwatch knows"
