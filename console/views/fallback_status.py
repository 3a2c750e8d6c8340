"""How the fallback stands: targets and who is up, rules and what they see, what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.control.fallback_state import FallbackState, fallback_words
from console.control.plane import Health
from console.control.rules import Look, RuleVerdict
from console.control.settings import FallbackSettings
from console.views import records
from console.views.model import Cell, Column, Row, Table, Tone, View
from console.views.words import age, moment, name, plain

__all__ = ["FallbackStatus", "status_document", "status_view"]

_HEALTH_TONES = {Health.UP: Tone.GOOD, Health.DOWN: Tone.BAD, Health.UNKNOWN: Tone.UNKNOWN}
_RULE_TONES = {
    RuleVerdict.BROKEN: Tone.BAD,
    RuleVerdict.KEPT: Tone.GOOD,
    RuleVerdict.UNKNOWN: Tone.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class FallbackStatus:
    """What is known at a moment. looks: the rules by the logs, now, without how long it is so.

    problem: why the plane cannot be read; "" when it can. piloted: whether a recorder that may
    write is running, without which no rule acts.
    """

    deployment: str
    settings: FallbackSettings
    state: FallbackState
    health: Mapping[str, tuple[Health, str]]
    looks: tuple[Look, ...]
    now: datetime
    problem: str = ""
    piloted: bool = True

    @property
    def idle(self) -> bool:
        """Whether rules are to act, and nobody is there to make them."""
        return bool(self.settings.automatic and self.settings.rule) and not self.piloted

    @property
    def is_well(self) -> bool:
        """Whether there is nothing that somebody should look at."""
        up = any(self.health.get(t.arm, (None,))[0] is Health.UP for t in self.settings.target)
        broken = any(k.verdict is RuleVerdict.BROKEN for k in self.looks)
        return up and not (broken or self.state.person or self.problem or self.idle)


def status_view(s: FallbackStatus) -> View:
    """Targets and rules as rows."""
    columns = (
        Column("what"),
        Column("name", flexible=True),
        Column("state"),
        Column("why", flexible=True),
    )
    rows = []
    for target in s.settings.target:
        health, detail = s.health.get(target.arm, (Health.UNKNOWN, ""))
        if health is Health.UNKNOWN and not detail:
            detail = "give its address in [control.health]"
        used = ", in use" if s.state.on == target.arm else ""
        cells = (
            plain("target", Tone.DIM),
            plain(name(target.arm), Tone.ACCENT),
            plain(health.value + used, _HEALTH_TONES[health]),
            plain(name(detail, 200)),
        )
        rows.append(Row(f"target/{target.arm}", cells))
    for place, look in enumerate(s.looks):
        cells = (
            plain("rule", Tone.DIM),
            plain(name(look.key, 100), Tone.ACCENT),
            plain(look.verdict.value, _RULE_TONES[look.verdict]),
            plain(name(look.why, 300)),
        )
        rows.append(Row(f"rule/{place}", cells))
    return View("Fallback", _headline(s), Table(columns, tuple(rows)), notes=_notes(s))


def _headline(s: FallbackStatus) -> tuple[Cell, ...]:
    words = name(fallback_words(s.state, s.settings, s.now), 500)
    tone = Tone.BAD if s.state.person else Tone.WARN if s.state.on else Tone.PLAIN
    said = [plain(words, tone)]
    if s.problem:
        said.append(plain(name(s.problem, 300), Tone.BAD))
    if s.idle:
        said.append(plain("no recorder that may write is running, so no rule acts", Tone.BAD))
    if not any(s.health.get(t.arm, (None,))[0] is Health.UP for t in s.settings.target):
        said.append(plain("no target is known to be up: there is nothing to fall back to"))
    return tuple(said)


def _notes(s: FallbackStatus) -> tuple[Cell, ...]:
    settings, since = s.settings, s.state.watching
    if not settings.rule:
        return (plain("no rules: falling back is a person's", Tone.DIM),)
    looked = f"since {moment(since)} UTC" if since is not None else "by nobody yet: start `record`"
    notes = [f"rules were watched by the recorder, {looked}; the figures above are of this look"]
    if settings.automatic:
        back = "returns by itself when all rules were kept for " + age(settings.hold)
        notes.append(back if settings.return_automatically else "a person returns")
    return tuple(plain(text, Tone.DIM) for text in notes)


def status_document(s: FallbackStatus) -> dict[str, Any]:
    """The JSON of `fallback status`."""
    state, settings = s.state, s.settings
    return {
        "deployment": s.deployment,
        "on": state.on or None,
        "since": records.stamp(state.since),
        "by": state.by or None,
        "by_rule": state.by_rule,
        "before": None if state.before is None else dict(state.before.weights),
        "automatic": settings.automatic,
        "changes": state.used(settings, s.now),
        "most": settings.most,
        "person": state.person or None,
        "watching": records.stamp(state.watching),
        "problem": s.problem or None,
        "text": fallback_words(state, settings, s.now),
        "targets": [_target(s, t.arm) for t in settings.target],
        "rules": [
            {
                "rule": look.key,
                "verdict": look.verdict.value,
                "figure": records.estimate(look.estimate),
                "text": look.why,
                "told": records.stamp(state.told.get(look.key)),
            }
            for look in s.looks
        ],
    }


def _target(s: FallbackStatus, arm: str) -> dict[str, Any]:
    health, detail = s.health.get(arm, (Health.UNKNOWN, ""))
    return {"arm": arm, "health": health.value, "text": detail, "in_use": arm == s.state.on}
