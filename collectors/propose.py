"""Which column plays which role in a log nobody has described, each with the reason.

From names, types and values to a `Deployment`. What cannot be told is a `Doubt` with the flag that
settles it: of two columns that fit as well none is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from pydantic import ValidationError

from collectors.contract import Deployment, FileFormat, Task
from collectors.profile import ColumnProfile
from collectors.propose_answers import outputs_of, promised, target_of
from collectors.propose_features import LeftOut, attributions, features_of, segments_of
from collectors.propose_keys import (
    id_of,
    note_sampling,
    timestamp_of,
    timezone_of,
    usual,
    version_of,
)
from collectors.propose_outputs import Outputs, same_everywhere, task_of
from collectors.propose_quality import propose_quality
from collectors.propose_roles import (
    Doubt,
    Given,
    LogSources,
    Proposal,
    Reason,
    Roles,
    listed,
    within_one,
)
from collectors.propose_tasks import fields_of
from collectors.role_names import Role, Strength, plain_name, stem, strength_of

__all__ = ["GUESS_VERSION", "Doubt", "Given", "LogSources", "Proposal", "Reason", "propose"]

GUESS_VERSION = 2
"""Goes up when a log may be guessed otherwise: stores kept of the old guess are of no use."""


def propose(sources: LogSources, given: Given) -> Proposal:
    """A deployment for the log, with reasons; or what must be said first."""
    roles = Roles(sources, given)
    _check_given(roles)
    contract: dict[str, object] = {
        "name": sources.name,
        "predictions": {"path": sources.paths, "format": sources.format.value},
        "timestamp": timestamp_of(roles),
        "id": id_of(roles),
        "version": version_of(roles),
    }
    for role in (Role.LATENCY, Role.COST, Role.ERROR):
        contract[role.value] = usual(roles, role)
    note_sampling(roles)
    target = target_of(roles)
    outputs = outputs_of(roles, target)
    if not target and sources.labels is None and not roles.doubts:
        target = promised(roles, outputs)
        outputs = replace(outputs, target=sources.log.column(target))
    task, why = task_of(outputs, given.task)
    if roles.doubts:  # a task that is told from a wrong column would be another mistake
        return _done(roles, None)
    if task is None:
        missing = outputs.prediction is None and outputs.score is None
        role = Role.PREDICTION if missing else Role.TASK
        choices = [c.name for c in roles.free] if missing else [t.value for t in Task]
        roles.doubt(role, choices[:20], why)
        return _done(roles, None)
    roles.reasons.append(Reason(Role.TASK.value, task.value, why))
    contract |= {"task": task.value, "timezone": timezone_of(roles, contract)}
    contract |= fields_of(roles, task, outputs)
    contract["labels"] = _labels(roles, target, contract)
    contract |= _rest(roles, outputs)
    if given.traffic:
        contract["traffic"] = given.traffic
    if sources.reference is not None:
        contract["reference"] = [
            {"path": sources.reference_path, "label": _reference_label(roles, target)}
        ]
    return _done(roles, contract)


def _done(roles: Roles, contract: Mapping[str, object] | None) -> Proposal:
    deployment = None
    if contract is not None and not roles.doubts:
        try:
            deployment = Deployment.model_validate(contract)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = str(first["msg"]).removeprefix("Value error, ")
            roles.doubts.append(Doubt("", "", (), message))
    quality = None
    if deployment is not None:
        quality = propose_quality(deployment, roles.sources.log, roles.sources.reference)
    said = (tuple(roles.reasons), tuple(roles.doubts), tuple(roles.notes))
    return Proposal(deployment, *said, quality)


def _check_given(roles: Roles) -> None:
    """Columns that flags name must be there."""
    given, known = roles.given, roles.sources.log.names
    of_labels = roles.sources.labels.names if roles.sources.labels is not None else ()
    for role, names in (
        (Role.TIMESTAMP, (given.timestamp,)),
        (Role.ID, (given.id,)),
        (Role.VERSION, (given.version,)),
        (Role.PREDICTION, (given.prediction,)),
        (Role.SCORE, (given.score,)),
        (Role.TARGET, (given.target,)),
        (Role.SEGMENT, given.segments),
        (Role.FEATURE, given.features),
        (Role.CLASS_SCORE, tuple(given.class_scores.values())),
    ):
        for name in names:
            there = (*known, *of_labels) if role in (Role.TARGET, Role.ID) else known
            if name and name not in there:
                near = get_close_matches(name, there, 5, 0.5) or list(there)[:10]
                roles.doubt(role, near, f"there is no column {name!r}")
            elif name:
                roles.reasons.append(Reason(role.value, name, "as given"))


def _labels(roles: Roles, target: str, contract: Mapping[str, object]) -> dict[str, object] | None:
    if not target:
        return None
    sources = roles.sources
    if sources.labels is None:
        source = {"path": sources.paths, "format": sources.format.value}
        beside = "timestamp" if sources.platform_labels else _came(roles, contract)
        return {
            "source": source,
            "id": contract["id"],
            "value": target,
            "received": beside,
            "at_once": not beside,
        }
    times = [
        c
        for c in sources.labels.columns
        if (c.is_time or c.epoch) and c.name not in (target, contract["id"], roles.label_id)
    ]
    named = [c for c in times if strength_of(Role.RECEIVED, c.name) is not Strength.NOT]
    chosen = named or times
    received = chosen[0].name if len(chosen) == 1 else ""
    if len(chosen) > 1:
        names = listed([c.name for c in chosen])
        roles.notes.append(f"{names} each hold times of the labels: none is taken")
    if received:
        roles.reasons.append(Reason(Role.RECEIVED.value, received, "when the labels came"))
    else:
        roles.notes.append("labels say no time: they count as known with their predictions")
    return {
        "source": {"path": sources.label_paths},
        "id": roles.label_id or contract["id"],
        "value": target,
        "received": received,
        "at_once": not received,
    }


def _came(roles: Roles, contract: Mapping[str, object]) -> str:
    """The column of when the truth beside a prediction was known; "" where nothing says it."""
    found = [
        c for c in roles.free if c.is_time and strength_of(Role.RECEIVED, c.name) is Strength.NAME
    ]
    if len(found) != 1 or not contract["timestamp"]:
        return ""
    return roles.take(Role.RECEIVED, found[0].name, "its name: when the truth was known")


def _rest(roles: Roles, outputs: Outputs) -> dict[str, object]:
    """Features, segments and attributions of what has no role yet."""
    left_out: LeftOut = []
    explained = attributions([c.name for c in roles.free])
    others = [c for c in roles.free if c.name not in explained.values()]
    others = [c for c in others if not _known_later(roles, c, outputs, left_out)]
    kinds = features_of(
        others,
        roles.given.features,
        left_out,
        typed=roles.sources.log.form.container is FileFormat.PARQUET,
    )
    segments = segments_of(roles.sources.log, kinds, roles.given.segments)
    roles.reasons += [Reason("", name, f"left out: {why}") for name, why in left_out]
    for kind, features in kinds.items():
        if features:
            roles.reasons.append(Reason(Role.FEATURE.value, ", ".join(features), kind))
    if segments:
        why = "as given" if roles.given.segments else "few values, so that figures can be split"
        roles.reasons.append(Reason(Role.SEGMENT.value, ", ".join(segments), why))
    watched = {name for of in kinds.values() for name in of}
    used = {feature: column for feature, column in explained.items() if feature in watched}
    if used:
        columns = ", ".join(used.values())
        roles.reasons.append(Reason(Role.ATTRIBUTION.value, columns, "named after features"))
    if roles.sources.log.n_left_out:
        roles.notes.append(f"{roles.sources.log.n_left_out} more columns were not looked at")
    return {"features": kinds, "segments": segments, "attributions": used}


def _known_later(roles: Roles, c: ColumnProfile, outputs: Outputs, left_out: LeftOut) -> bool:
    """Whether a column is another answer or another truth, which is no input of the model."""
    if c.name in roles.given.features or c.name in roles.given.segments:
        return False
    if c.name.startswith("output."):
        left_out.append((c.name, "an output of the model"))
        return True
    said = {role: strength_of(role, c.name) for role in (Role.PREDICTION, Role.SCORE, Role.TARGET)}
    why = ""
    if said[Role.PREDICTION]:
        why = "its name says prediction"
    elif plain_name(c.name).startswith(("prediction_", "y_pred_")):
        why = "its name says that it belongs to the prediction"
    elif said[Role.SCORE] is Strength.NAME or (said[Role.SCORE] and within_one(c)):
        # a credit score is a feature
        why = "its name says score"
    elif said[Role.TARGET] and stem(c.name) in roles.abouts:
        why = "its name says target"
    elif plain_name(c.name) in ("sample_weight", "period", "fold", "split", "index_level_0"):
        why = "its name says how the table was made"
    elif outputs.target is not None and _repeats(roles, c, outputs.target):
        why = f"equals {outputs.target.name} in every row looked at"
    elif plain_name(c.name).startswith(("fallback", "baseline", "heuristic", "shadow")):
        why = "its name says that it is another answer"
    if why:
        left_out.append((c.name, why))
    return bool(why)


def _repeats(roles: Roles, c: ColumnProfile, truth: ColumnProfile) -> bool:
    log = roles.sources.log
    alike = truth.name in log.names and c.n_distinct == truth.n_distinct > 1
    return alike and same_everywhere(log, c.name, truth.name)


def _reference_label(roles: Roles, target: str) -> str:
    """The column of the true value in the reference; empty when it has none."""
    reference = roles.sources.reference
    if reference is None or not target:
        return ""
    if reference.column(target) is not None:
        return target
    found = [c.name for c in reference.columns if strength_of(Role.TARGET, c.name)]
    if len(found) == 1:
        roles.reasons.append(Reason(Role.TARGET.value, found[0], "the truth in the reference"))
        return found[0]
    roles.notes.append("the reference has no column of the truth")
    return ""
