"""Errors of control, each one sentence with what to do.

    ControlError
    +-- PlaneError     a control plane could not be reached, or its answer makes no sense
    +-- AuditError     the audit cannot be read or written: nothing is changed without it
    +-- LockedError    another process is changing the same plane

What can be expected of a change (refused, in conflict, unknown) is a value, not an error.
"""

from __future__ import annotations

from console.errors import ConsoleError

__all__ = ["AuditError", "ControlError", "LockedError", "PlaneError"]


class ControlError(ConsoleError):
    """Root of the expected failures of control."""


class PlaneError(ControlError):
    """A control plane could not be reached, or its answer makes no sense."""


class AuditError(ControlError):
    """The audit cannot be read or written."""


class LockedError(ControlError):
    """Another process is changing the same plane."""
