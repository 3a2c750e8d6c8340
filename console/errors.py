"""Errors of the console, each one sentence with what to do.

ConsoleError
+-- UsageError    a wrong argument or configuration: exit code 2
"""

from __future__ import annotations

__all__ = ["ConsoleError", "UsageError"]


class ConsoleError(Exception):
    """Root of the console's expected failures."""


class UsageError(ConsoleError):
    """A wrong argument or configuration."""
