"""The table of actions and the keys users set."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake import PANES

from console.tui.actions import ACTIONS, FOOTER, FOOTER_END, GROUPS, key_name, make_keymap
from console.tui.app import ModelwatchApp
from console.tui.commands import Commands
from console.tui.help_page import help_lines


def test_default_keys_do_not_clash() -> None:
    assert make_keymap().complaints == ()


def test_every_action_has_a_key_a_sentence_a_group_and_a_method() -> None:
    for action in ACTIONS:
        assert action.keys and action.label
        assert action.help.endswith(".")
        assert action.group in GROUPS
        assert action.id.startswith("pane_") or hasattr(Commands, action.id)
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


def test_the_footer_names_actions_of_the_table() -> None:
    known = {action.id for action in ACTIONS}
    assert {i for ids, _ in (*FOOTER, *FOOTER_END) for i in ids} <= known


def test_no_key_needs_a_combination_that_ssh_or_tmux_eats() -> None:
    for action in ACTIONS:
        for key in action.keys:
            assert key not in {"ctrl+a", "ctrl+b", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"}
            assert not key.startswith(("alt+", "f1"))


def test_help_lists_every_action_with_its_keys() -> None:
    keymap = make_keymap({"deployment": "D"})
    page = "\n".join(line.plain for line in help_lines(keymap, PANES, 200))
    for action in ACTIONS:
        if action.id.startswith("pane_"):
            continue
        if not action.is_there({pane.name for pane in PANES}):
            assert action.help not in page
            continue
        assert action.help in page
        assert "  ".join(keymap.by_action[action.id]) in page
    for pane in PANES:
        assert f"Show {pane.title}." in page
    assert "  D  " in page


def test_a_set_key_replaces_the_default() -> None:
    keymap = make_keymap({"deployment": "D", "page_down": "pgdn, ctrl+d"})
    assert keymap.complaints == ()
    assert keymap.by_key["D"].id == "deployment"
    assert "d" not in keymap.by_key
    assert keymap.by_key["ctrl+d"].id == "page_down"
    assert keymap.by_key["pagedown"].id == "page_down"


@pytest.mark.parametrize(
    ("remaps", "words"),
    [
        ({"deployment": "j"}, ('"j"', "deployment", "down")),
        ({"deployment": "u", "version": "u"}, ('"u"', "deployment", "version")),
        ({"no_such": "x"}, ("no_such",)),
        ({"help": "ctrl+i"}, ("tab",)),
        ({"help": "alt+x"}, ("terminal",)),
        ({"help": "hyper"}, ("hyper", "not a key")),
        ({"quit": ""}, ("quit", "palette")),
    ],
)
def test_a_clash_or_a_wrong_key_is_a_sentence(
    remaps: dict[str, str], words: tuple[str, ...]
) -> None:
    complaints = make_keymap(remaps).complaints
    assert len(complaints) == 1
    assert all(word in complaints[0] for word in words)
    assert complaints[0].endswith(".")


def test_on_a_clash_the_users_key_wins() -> None:
    keymap = make_keymap({"deployment": "j"})
    assert keymap.by_key["j"].id == "deployment"
    assert keymap.by_action["down"] == ("down",)


def test_a_wrong_key_leaves_the_default() -> None:
    assert make_keymap({"help": "ctrl+i"}).by_key["?"].id == "help"


def test_key_names_are_the_characters_users_see() -> None:
    assert key_name("left_square_bracket", "[") == "["
    assert key_name("upper_g", "G") == "G"
    assert key_name("space", " ") == "space"
    assert key_name("tab", "\t") == "tab"
    assert key_name("ctrl+l", "\x0c") == "ctrl+l"


def test_the_app_knows_no_other_bindings() -> None:
    assert (
        not ModelwatchApp.BINDINGS
        or ModelwatchApp._merged_bindings is None
        or not (ModelwatchApp._merged_bindings.key_to_bindings)
    )


def test_the_table_is_read_without_textual() -> None:
    code = (
        "import sys; import console.tui.actions, console.tui.options, console.tui.requests, "
        "console.tui.data_thread, console.tui.environment, console.tui.run; "
        "bad = {'textual', 'rich', 'plotext', 'polars', 'duckdb', 'pydantic'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_app_is_imported_without_what_the_first_paint_does_not_need() -> None:
    code = (
        "import sys; import console.tui.app, console.tui.driver; "
        "bad = {'plotext', 'polars', 'duckdb', 'pydantic', 'numpy'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
