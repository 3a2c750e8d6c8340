"""What is known of a log's columns while their roles are found, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.contract import Deployment, FileFormat
from collectors.profile import ColumnProfile, LogProfile
from collectors.quality_rules import Quality
from collectors.role_names import Role, Strength, stem, strength_of

__all__ = [
    "Doubt",
    "Given",
    "LogSources",
    "Proposal",
    "Reason",
    "Roles",
    "listed",
    "within_one",
]


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says; empty where nothing is said. class_scores: class -> column."""

    timestamp: str = ""
    id: str = ""
    prediction: str = ""
    score: str = ""
    target: str = ""
    version: str = ""
    segments: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    class_scores: Mapping[str, str] = field(default_factory=dict)
    task: str = ""
    positive: str = ""
    timezone: str = ""
    traffic: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named."""
        single = (self.timestamp, self.id, self.prediction, self.score, self.target, self.version)
        several = (*self.segments, *self.features, *self.class_scores.values())
        return tuple(name for name in (*single, *several) if name)


@dataclass(frozen=True, slots=True)
class LogSources:
    """What there is to look at. paths: as the deployment will name them."""

    name: str
    paths: tuple[str, ...]
    log: LogProfile
    format: FileFormat = FileFormat.AUTO
    label_paths: tuple[str, ...] = ()
    labels: LogProfile | None = None
    reference_path: str = ""
    reference: LogProfile | None = None
    platform_labels: bool = False
    """Whether the log's own records hold labels beside predictions."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a column was taken for a role, or left out (`role` empty)."""

    role: str
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """What cannot be told: which flag settles it, and what it may be given."""

    role: str
    flag: str
    candidates: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """deployment: None while there are doubts. notes: what the log does not allow. quality: rules
    that its rows, or those of the reference, suggest; no part of the deployment.
    """

    deployment: Deployment | None
    reasons: tuple[Reason, ...]
    doubts: tuple[Doubt, ...]
    notes: tuple[str, ...]
    quality: Quality | None = None


_FLAGS = {Role.VERSION: "--version-column", Role.SEGMENT: "--segment-column"}


class Roles:
    """Columns of the log as they are given away; each has one role."""

    def __init__(self, sources: LogSources, given: Given) -> None:
        self.sources = sources
        self.given = given
        self.reasons: list[Reason] = []
        self.doubts: list[Doubt] = []
        self.notes: list[str] = []
        self.label_id = ""
        self.taken: set[str] = set(given.columns) - set(given.segments) - set(given.features)

    @property
    def free(self) -> list[ColumnProfile]:
        """Columns with values and without a role."""
        return [c for c in self.sources.log.columns if c.name not in self.taken and c.n_values]

    @property
    def abouts(self) -> set[str]:
        """What the given outputs and the truth are about; "" where their names do not say."""
        about = {
            stem(r.column)
            for r in self.reasons
            if r.role in (Role.PREDICTION, Role.SCORE, Role.TARGET)
        }
        return about | {""}

    def take(self, role: Role, column: str, why: str) -> str:
        """Give a column a role; returns its name."""
        self.taken.add(column)
        self.reasons.append(Reason(role.value, column, why))
        return column

    def leave_out(self, column: str, why: str) -> None:
        """A column that gets no role, also not that of a feature, unless a flag says so."""
        if column not in self.given.columns:
            self.taken.add(column)
            self.reasons.append(Reason("", column, f"left out: {why}"))

    def take_back(self, role: Role, column: str, why: str) -> None:
        """Leave out a column that was taken."""
        self.reasons = [r for r in self.reasons if (r.role, r.column) != (role.value, column)]
        self.leave_out(column, why)

    def said(self, role: Role, name: str) -> str:
        """A column whose role the platform's own format says; "" when it is not there."""
        log = self.sources.log
        if log.form.platform is None or log.column(name) is None or name in self.taken:
            return ""
        return self.take(role, name, f"as {log.form.platform.value} logs it")

    def doubt(self, role: Role, candidates: Sequence[str], why: str) -> str:
        """Refuse to guess a role, with the flag that settles it; returns no name."""
        flag = _FLAGS.get(role, f"--{role.value}")
        self.doubts.append(Doubt(role.value, flag, tuple(candidates), why))
        return ""

    def best(
        self, role: Role, fits: Callable[[ColumnProfile], bool], *, least: Strength = Strength.AFFIX
    ) -> list[ColumnProfile]:
        """The free columns that fit best, by the strength of their names."""
        features = set(self.given.features)
        found = [
            (strength_of(role, c.name), c) for c in self.free if c.name not in features and fits(c)
        ]
        top = max((s for s, _ in found), default=Strength.NOT)
        return [c for s, c in found if s is top] if top >= least else []

    def settle(self, role: Role, found: Sequence[ColumnProfile], why: str) -> str:
        """The one that was found; of several none."""
        if len(found) == 1:
            return self.take(role, found[0].name, why)
        if found:
            names = [c.name for c in found]
            return self.doubt(role, names, f"{listed(names)} could each be the {role.value}")
        return ""


def within_one(c: ColumnProfile) -> bool:
    """Whether its numbers lie between 0 and 1."""
    return c.low is not None and c.high is not None and c.low >= 0 and c.high <= 1


def listed(names: Sequence[str]) -> str:
    """Some names, in a sentence."""
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
