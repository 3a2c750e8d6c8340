"""flagd: the weights of a flag's variants in a flag file that flagd, or a program itself, watches.

Which variant a request gets is decided where the flag is evaluated; whether that has read the file
is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Observed,
    Receipt,
    Replica,
)
from console.control.plane_settings import FlagdPlane
from console.control.planes.arms import shown, wrong_weights
from console.control.planes.config_file import ChangedError, ConfigFile, FileText
from console.control.planes.flag_file import Flag, read_flag, with_buckets
from console.control.split import Split

__all__ = ["Flagd"]


class Flagd(ControlPlane):
    """One flag in one file. base: the folder that its path is relative to."""

    def __init__(self, settings: FlagdPlane, arms: tuple[str, ...], base: Path) -> None:
        self.arms = arms
        self._settings = settings
        self._file = ConfigFile(base / Path(settings.file).expanduser())
        self._alone = True
        self.name = f"{shown('flagd', [self._file.shown])}, flag {clean(settings.flag, 60)}"

    @property
    def capabilities(self) -> Capabilities:
        """Exact and atomic for what is done by us; an editor's change is noticed."""
        note = "whether flagd has taken the file is not read back"
        if not self._alone:
            note += "; some requests are decided before they are divided"
        return Capabilities(
            total=self._settings.total,
            compare_and_swap=True,
            dry_run=False,
            atomic=True,
            persistent=True,
            counts=False,
            carries_id=False,
            note=note,
        )

    def read(self) -> Observed:
        """What the file says. Raises PlaneError."""
        at = datetime.now(UTC)
        found = self._file.read()
        flag = self._flag(found)
        self._alone = flag.alone
        buckets = dict(flag.buckets)
        split = Split.of(
            {arm: buckets.get(arm, 0) for arm in self.arms}
            | {clean(a, 60): w for a, w in flag.buckets if a not in self.arms}
        )
        replica = Replica(self._file.shown, split)
        return Observed(at, (replica,), found.revision, problem="; ".join(self._doubts(flag)))

    def dry_run(self, change: Change) -> Iterator[str]:
        """What is wrong with the weights, the flag, and the right to write the file."""
        problems = tuple(wrong_weights(change.after, self.arms, self._settings.total))
        if problems:
            yield from problems
            return
        found = self._file.read()
        if change.base and found.revision != change.base:
            yield f"{self._file.shown} has changed since this was planned"
        try:
            self._edited(found, change.after)
        except PlaneError as error:
            yield str(error)
        unwritable = self._file.problem_of_writing()
        if unwritable:
            yield unwritable

    def apply(self, change: Change) -> Receipt:
        """Replace the file at once."""
        answer, detail = self._applied(change)
        return Receipt.one(self._file.shown, answer, detail)

    def counts(self) -> Counts | None:
        """It does not count."""
        return None

    def _applied(self, change: Change) -> tuple[Answer, str]:
        problem = next(wrong_weights(change.after, self.arms, self._settings.total), "")
        if problem:
            return Answer.REJECTED, problem
        try:
            found = self._file.read()
            if change.base and found.revision != change.base:
                return Answer.CONFLICT, "the file has changed since this was planned"
            text = self._edited(found, change.after)
            self._file.replace(found.revision, text, self._settings.timeout.total_seconds())
        except ChangedError as error:
            return Answer.CONFLICT, str(error)
        except PlaneError as error:
            return Answer.REJECTED, f"{error}; nothing was written"
        return Answer.ACKED, ""

    def _flag(self, found: FileText) -> Flag:
        try:
            return read_flag(found.text, self._settings.flag)
        except ValueError as error:
            raise PlaneError(f"{self._file.shown}: {error}") from None

    def _edited(self, found: FileText, after: Split) -> str:
        flag = self._flag(found)
        for arm in self.arms:
            if arm not in flag.variants:
                listed = clean(", ".join(flag.variants), 200) or "none"
                what = f"{self._file.shown}: {arm!r} is no variant of the flag; there is {listed}"
                raise PlaneError(f"{what}. A share of the evaluations would fail")
        others = [name for name, _ in flag.buckets if name not in self.arms]
        if others:
            what = f"{self._file.shown}: it also has {clean(', '.join(others), 200)}"
            raise PlaneError(f"{what}; list it in `arms`")
        try:
            return with_buckets(found.text, self._settings.flag, dict(after.weights))
        except ValueError as error:
            raise PlaneError(f"{self._file.shown}: {error}") from None

    def _doubts(self, flag: Flag) -> Iterator[str]:
        """What of a flag does not fit."""
        if not flag.enabled:
            yield "the flag is not ENABLED, so every program takes its own default"
        if not sum(weight for _, weight in flag.buckets):
            yield "all weights are 0"
        for name, weight in flag.buckets:
            if weight and name not in flag.variants:
                yield f"{clean(name, 60)!r} is no variant, so its share of the evaluations fails"
            elif name not in self.arms:
                yield f"it also has {clean(name, 60)}; list it in `arms`"
        for arm in self.arms:
            if arm not in flag.variants:
                yield f"{arm!r} is no variant of the flag"
