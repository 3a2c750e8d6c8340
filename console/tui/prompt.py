"""Editing one line of typed text without a widget: a blinking cursor would never be idle."""

from __future__ import annotations

__all__ = ["edit"]


def edit(text: str, key: str, character: str | None) -> str:
    """The text after a key; keys that do not edit leave it as it is."""
    if key in {"backspace", "ctrl+h"}:
        return text[:-1]
    if key == "ctrl+u":
        return ""
    if key == "ctrl+w":
        return text.rstrip().rpartition(" ")[0]
    if character and len(character) == 1 and character.isprintable():
        return text + character
    return text
