"""The one place where a name becomes part of SQL."""

from __future__ import annotations

__all__ = ["quote", "schema_of", "text"]


def quote(identifier: str) -> str:
    """An identifier as SQL, whatever is in it. NUL cannot stand in SQL text and is replaced."""
    return '"' + identifier.replace("\x00", "\ufffd").replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal as SQL, for the few places that take no bound parameter."""
    return "'" + value.replace("\x00", "\ufffd").replace("'", "''") + "'"


def schema_of(deployment: str) -> str:
    """The quoted schema that holds a deployment's tables."""
    return quote(f"deployment {deployment}")
