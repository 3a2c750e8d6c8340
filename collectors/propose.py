"""Which column plays which role in a log nobody has described, each with the reason.

From names, types and values to a `Deployment`. What cannot be told is a `Doubt` with the flag that
settles it: of two columns that fit as well none is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pydantic import ValidationError

from collectors.contract import Deployment, FileFormat, Task
from collectors.formats.records import ID, TIMESTAMP, VERSION
from collectors.profile import ColumnProfile, LogProfile
from collectors.propose_features import LeftOut, attributions, features_of, segments_of
from collectors.propose_outputs import (
    Outputs,
    class_score_columns,
    kept_promise,
    positive_of,
    same_everywhere,
    task_of,
)
from collectors.role_names import Role, Strength, plain_name, rank, stem, strength_of

__all__ = ["Doubt", "Given", "LogSources", "Proposal", "Reason", "propose"]


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
    """deployment: None while there are doubts. notes: what the log does not allow."""

    deployment: Deployment | None
    reasons: tuple[Reason, ...]
    doubts: tuple[Doubt, ...]
    notes: tuple[str, ...]


_FLAGS = {Role.VERSION: "--version-column", Role.SEGMENT: "--segment-column"}


class _Roles:
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
        self.taken.add(column)
        self.reasons.append(Reason(role.value, column, why))
        return column

    def said(self, role: Role, name: str) -> str:
        """A column whose role the platform's own format says; "" when it is not there."""
        log = self.sources.log
        if log.form.platform is None or log.column(name) is None or name in self.taken:
            return ""
        return self.take(role, name, f"as {log.form.platform.value} logs it")

    def doubt(self, role: Role, candidates: Sequence[str], why: str) -> str:
        flag = _FLAGS.get(role, f"--{role.value}")
        self.doubts.append(Doubt(role.value, flag, tuple(candidates), why))
        return ""

    def best(
        self, role: Role, fits: Callable[[ColumnProfile], bool], *, least: Strength = Strength.AFFIX
    ) -> list[ColumnProfile]:
        """The free columns that fit best, by the strength of their names."""
        found = [(strength_of(role, c.name), c) for c in self.free if fits(c)]
        top = max((s for s, _ in found), default=Strength.NOT)
        return [c for s, c in found if s is top] if top >= least else []

    def settle(self, role: Role, found: Sequence[ColumnProfile], why: str) -> str:
        """The one that was found; of several none."""
        if len(found) == 1:
            return self.take(role, found[0].name, why)
        if found:
            names = [c.name for c in found]
            return self.doubt(role, names, f"{_listed(names)} could each be the {role.value}")
        return ""


def propose(sources: LogSources, given: Given) -> Proposal:
    """A deployment for the log, with reasons; or what must be said first."""
    roles = _Roles(sources, given)
    _check_given(roles)
    contract: dict[str, object] = {
        "name": sources.name,
        "predictions": {"path": sources.paths, "format": sources.format.value},
        "timestamp": _timestamp(roles),
        "id": _id(roles),
        "version": _version(roles),
    }
    for role in (Role.LATENCY, Role.COST, Role.ERROR):
        contract[role.value] = _usual(roles, role)
    _note_sampling(roles)
    target = _target(roles)
    outputs = _outputs(roles, target)
    if not target and sources.labels is None and not roles.doubts:
        target = _promised(roles, outputs)
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
    contract |= {"task": task.value, "timezone": _timezone(roles, contract)}
    contract |= _by_task(roles, task, outputs)
    contract["labels"] = _labels(roles, target, contract)
    contract |= _rest(roles)
    if given.traffic:
        contract["traffic"] = given.traffic
    if sources.reference is not None:
        contract["reference"] = [
            {"path": sources.reference_path, "label": _reference_label(roles, target)}
        ]
    return _done(roles, contract)


def _done(roles: _Roles, contract: Mapping[str, object] | None) -> Proposal:
    deployment = None
    if contract is not None and not roles.doubts:
        try:
            deployment = Deployment.model_validate(contract)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = str(first["msg"]).removeprefix("Value error, ")
            roles.doubts.append(Doubt("", "", (), message))
    return Proposal(deployment, tuple(roles.reasons), tuple(roles.doubts), tuple(roles.notes))


def _check_given(roles: _Roles) -> None:
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


def _timestamp(roles: _Roles) -> str:
    found = roles.given.timestamp or roles.said(Role.TIMESTAMP, TIMESTAMP)
    if found:
        return found
    times = [c for c in roles.free if c.is_time or (c.epoch and _says_time(c.name))]
    of = [c for c in times if strength_of(Role.RECEIVED, c.name) is Strength.NOT] or times
    best = max((strength_of(Role.TIMESTAMP, c.name) for c in of), default=Strength.NOT)
    usual = [c for c in of if strength_of(Role.TIMESTAMP, c.name) is best]
    if best is Strength.NAME:
        first = min(usual, key=lambda c: rank(Role.TIMESTAMP, c.name))
        # two usual names are two times; the more usual one is of the prediction
        return roles.take(Role.TIMESTAMP, first.name, f"its name, and {_times(first)}")
    if len(usual) == 1:
        return roles.take(Role.TIMESTAMP, usual[0].name, f"the only {_times(usual[0])}")
    if usual:
        names = [c.name for c in usual]
        return roles.doubt(Role.TIMESTAMP, names, f"{_listed(names)} each hold times")
    roles.notes.append("there are no times: figures are of the whole log")
    return ""


def _says_time(name: str) -> bool:
    return strength_of(Role.TIMESTAMP, name) is not Strength.NOT


def _times(c: ColumnProfile) -> str:
    return "numbers since 1970" if c.epoch and not c.is_time else "times"


def _timezone(roles: _Roles, contract: Mapping[str, object]) -> str:
    if roles.given.timezone:
        return roles.given.timezone
    column = roles.sources.log.column(str(contract["timestamp"]))
    if column is None or not column.is_time or column.n_zoned >= column.n_times:
        return ""
    roles.reasons.append(
        Reason(Role.TIMEZONE.value, "UTC", f"{column.name} says no zone; --timezone says another")
    )
    return "UTC"


def _id(roles: _Roles) -> str:
    found = roles.given.id or roles.said(Role.ID, ID)
    if found:
        return found
    if roles.sources.labels is not None:
        return _joining_id(roles, roles.sources.labels)
    single = [
        c
        for c in roles.free
        if strength_of(Role.ID, c.name) is not Strength.NOT
        and c.n_distinct >= 0.9 * c.n_values
        and c.n_null < 0.5 * c.n
    ]
    if single:
        first = min(single, key=lambda c: (-strength_of(Role.ID, c.name), rank(Role.ID, c.name)))
        return roles.take(Role.ID, first.name, "its name, and a value of its own in each row")
    roles.notes.append("there are no ids: a repeated row cannot be told from another one")
    return ""


def _joining_id(roles: _Roles, labels: LogProfile) -> str:
    """The id of the predictions that labels have too, perhaps under another name."""
    ours = [c for c in roles.free if _single(c) and not (c.is_time or c.share)]
    theirs = [c for c in labels.columns if _single(c) and not (c.is_time or c.share)]
    found = []
    for our in ours:
        known = set(roles.sources.log.rows[our.name].drop_nulls())
        for their in theirs:
            both = len(known & set(labels.rows[their.name].drop_nulls()))
            says = bool(strength_of(Role.ID, our.name)) + bool(strength_of(Role.ID, their.name))
            if both or our.name == their.name:
                found.append((says + 2 * (our.name == their.name), both, our.name, their.name))
    found.sort(reverse=True)
    if found and (len(found) == 1 or found[0][:2] > found[1][:2]):
        _, both, our_name, their_name = found[0]
        roles.label_id = their_name
        return roles.take(Role.ID, our_name, f"joins {their_name} of the labels, {both:,} seen")
    return roles.doubt(
        Role.ID,
        [c.name for c in ours],
        "no column surely joins the labels to their predictions",
    )


def _single(c: ColumnProfile) -> bool:
    """Whether nearly every row has a value of its own."""
    return c.n_values > 0 and c.n_distinct >= 0.9 * c.n_values and c.n_null < 0.5 * c.n


def _version(roles: _Roles) -> str:
    found = roles.given.version or roles.said(Role.VERSION, VERSION)
    if found:
        return found
    few = roles.best(Role.VERSION, lambda c: c.n_distinct <= max(50, c.n // 100))
    if len(few) > 1:
        few = [min(few, key=lambda c: rank(Role.VERSION, c.name))]
    if not few:
        return ""
    n = few[0].n_distinct
    return roles.take(Role.VERSION, few[0].name, f"its name, and {n} different value(s)")


def _note_sampling(roles: _Roles) -> None:
    """Say it when only some of the requests were logged: figures are of those."""
    for c in roles.free:
        if strength_of(Role.SAMPLING, c.name) and c.low is not None and _within_one(c):
            roles.taken.add(c.name)
            if c.low < 1:
                high = f" to {c.high:g}" if c.high is not None and c.high > c.low else ""
                roles.notes.append(
                    f"{c.name} is {c.low:g}{high}: only such a share of the requests was logged; "
                    "counts are of logged rows, and no figure is weighted"
                )


def _usual(roles: _Roles, role: Role) -> str:
    """A column of a usual name; without one nothing is missing."""
    numeric = role is not Role.ERROR
    found = roles.best(role, lambda c: c.numeric or not numeric, least=Strength.NAME)
    if not found:
        return ""
    first = min(found, key=lambda c: rank(role, c.name))
    return roles.take(role, first.name, "its name")


def _target(roles: _Roles) -> str:
    """The column of the ground truth: in the label file where there is one, else in the log."""
    sources, given = roles.sources, roles.given
    if given.target:
        return given.target
    if sources.labels is None:
        if sources.platform_labels:
            return "label"
        found = roles.best(Role.TARGET, lambda c: True)
        outputs = {stem(c.name) for c in roles.free if _is_output(c.name)}
        if len(found) > 1:  # `late` of `late_actual` and `late_predicted`
            found = [c for c in found if stem(c.name) in outputs] or found
        return roles.settle(Role.TARGET, found, "its name")
    rest = [
        c
        for c in sources.labels.columns
        if c.name not in roles.taken
        and c.n_values
        and not (c.is_time or strength_of(Role.RECEIVED, c.name) is not Strength.NOT)
        and strength_of(Role.ID, c.name) is Strength.NOT
    ]
    named = [c for c in rest if strength_of(Role.TARGET, c.name) is Strength.NAME]
    if len(named or rest) == 1:
        why = "its name in the labels" if named else "the only value in the labels"
        return roles.take(Role.TARGET, (named or rest)[0].name, why)
    outputs = {stem(c.name) for c in roles.free if _is_output(c.name)}
    if given.prediction or given.score:
        outputs = {stem(given.prediction or given.score)}
    about = [c for c in rest if stem(c.name) in outputs]
    return roles.settle(
        Role.TARGET, about if len(about) == 1 else rest, "the labels' column that is predicted"
    )


def _promised(roles: _Roles, outputs: Outputs) -> str:
    """The ground truth by its values: what the score promises, and nothing else does."""
    log, score = roles.sources.log, outputs.score
    found = [
        c
        for c in roles.free
        if score is not None
        and c.n_distinct == 2
        and {v.lower() for v in c.values} <= {"0", "1", "0.0", "1.0", "true", "false", "yes", "no"}
        and kept_promise(log, score.name, c.name)
    ]
    target = roles.settle(
        Role.TARGET, found, f"is yes as often as {score.name if score else ''} promises"
    )
    if not target and not found:
        roles.notes.append("there is no ground truth: performance is estimated from scores")
    return target


def _is_output(name: str) -> bool:
    return any(
        strength_of(role, name) is not Strength.NOT for role in (Role.PREDICTION, Role.SCORE)
    )


def _outputs(roles: _Roles, target: str) -> Outputs:
    """Prediction, score and class scores; two models in one log are a doubt."""
    log, given = roles.sources.log, roles.given
    truth = log.column(target)
    if truth is None and roles.sources.labels is not None:
        truth = roles.sources.labels.column(target)
    classes = (
        truth.values if truth is not None and not (truth.numeric and not truth.integer) else ()
    )
    by_schema = [name for name, role in log.schema.items() if role == "prediction"]
    prediction = log.column(given.prediction or (by_schema[0] if len(by_schema) == 1 else ""))
    if prediction is not None and not given.prediction:
        roles.take(Role.PREDICTION, prediction.name, "the log's schema says so")
    if prediction is None and not given.prediction:
        found = roles.best(Role.PREDICTION, lambda c: not c.share or not c.n_distinct)
        found = found or roles.best(Role.PREDICTION, lambda c: True)
        name = roles.settle(Role.PREDICTION, _about(roles, found, target), "its name")
        prediction = log.column(name)
    scores = dict(given.class_scores)
    if not scores and not given.score:
        words = classes or (prediction.values if prediction is not None else ())
        scores = class_score_columns(log, roles.free, words[:50])
        for name, column in scores.items():
            roles.take(Role.CLASS_SCORE, column, f"the probability of {name}; all add up to one")
    score = log.column(given.score)
    if score is None and not given.score and not scores:
        found = roles.best(Role.SCORE, lambda c: c.numeric and _within_one(c))
        name = roles.settle(
            Role.SCORE, _about(roles, found, target), "its name, and all of it between 0 and 1"
        )
        score = log.column(name)
    answers = [c for c in roles.free if c.name.startswith("output.")]
    if log.form.platform is not None and not scores and not (prediction or score):
        if len(answers) == 1:
            role = Role.SCORE if _is_score(answers[0], truth) else Role.PREDICTION
            roles.take(role, answers[0].name, "the only output of the model")
            if role is Role.SCORE:
                return Outputs(None, answers[0], truth, {})
            prediction = answers[0]
        elif answers:
            roles.doubt(Role.PREDICTION, [c.name for c in answers], "the model has several outputs")
    if prediction is not None and score is None and not scores and _is_score(prediction, truth):
        # a "prediction" between 0 and 1 of a truth of two values is a probability
        roles.reasons.append(
            Reason(Role.SCORE.value, prediction.name, "lies between 0 and 1; the truth is 0 or 1")
        )
        return Outputs(None, prediction, truth, {})
    if (
        prediction is not None
        and target in log.names
        and same_everywhere(log, prediction.name, target)
    ):
        roles.notes.append(f"{prediction.name} equals {target} in every row looked at: is it so?")
    return Outputs(prediction, score, truth, scores)


def _is_score(prediction: ColumnProfile, truth: ColumnProfile | None) -> bool:
    return prediction.share and (truth is None or truth.n_distinct <= 2) and truth is not None


def _within_one(c: ColumnProfile) -> bool:
    return c.low is not None and c.high is not None and c.low >= 0 and c.high <= 1


def _about(roles: _Roles, found: Sequence[ColumnProfile], target: str) -> Sequence[ColumnProfile]:
    """Of several the one that is about the same as what is given, or as the truth."""
    if len(found) < 2:
        return found
    given = roles.given
    for known in (given.prediction, given.score, target):
        about = [c for c in found if known and stem(c.name) == stem(known)]
        if len(about) == 1:
            return about
    usual = [c for c in found if not stem(c.name)]  # `prediction` beside `prediction_of_fallback`
    return usual if len(usual) == 1 else found


def _by_task(roles: _Roles, task: Task, outputs: Outputs) -> dict[str, object]:
    """The fields that depend on the task."""
    prediction = outputs.prediction.name if outputs.prediction is not None else ""
    fields: dict[str, object] = {"prediction": prediction}
    match task:
        case Task.BINARY:
            fields |= _binary(roles, outputs)
        case Task.MULTICLASS:
            fields["class_scores"] = dict(outputs.class_scores)
            if not prediction:
                roles.doubt(
                    Role.PREDICTION, [c.name for c in roles.free][:20], "no column is the class"
                )
        case Task.REGRESSION:
            if not prediction and outputs.score is not None:
                fields["prediction"] = outputs.score.name
    return fields


def _binary(roles: _Roles, outputs: Outputs) -> dict[str, object]:
    fields: dict[str, object] = {}
    score = outputs.score.name if outputs.score is not None else ""
    positive = roles.given.positive
    if not positive:
        positive, why, candidates = positive_of(outputs, roles.sources.log)
        if candidates:
            roles.doubt(Role.POSITIVE, candidates, why)
        elif positive:
            roles.reasons.append(Reason(Role.POSITIVE.value, positive, why))
    if outputs.class_scores:
        score = outputs.class_scores.get(positive or "1", "")
    if score and outputs.prediction is None:
        roles.notes.append(f"there is no prediction: {score} of at least 0.5 counts as one")
    return {**fields, "score": score, "positive": positive}


def _labels(roles: _Roles, target: str, contract: Mapping[str, object]) -> dict[str, object] | None:
    if not target:
        return None
    sources = roles.sources
    if sources.labels is None:
        source = {"path": sources.paths, "format": sources.format.value}
        beside = "timestamp" if sources.platform_labels else ""
        return {
            "source": source,
            "id": contract["id"],
            "value": target,
            "received": beside,
            "at_once": not sources.platform_labels,
        }
    times = [
        c
        for c in sources.labels.columns
        if (c.is_time or c.epoch) and c.name not in (target, contract["id"], roles.label_id)
    ]
    named = [c for c in times if strength_of(Role.RECEIVED, c.name) is not Strength.NOT]
    chosen = (named or times)[:1]
    received = chosen[0].name if chosen else ""
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


def _rest(roles: _Roles) -> dict[str, object]:
    """Features, segments and attributions of what has no role yet."""
    left_out: LeftOut = []
    explained = attributions([c.name for c in roles.free])
    others = [c for c in roles.free if c.name not in explained.values()]
    others = [c for c in others if not _known_later(roles, c, left_out)]
    kinds = features_of(others, roles.given.features, left_out)
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


def _known_later(roles: _Roles, c: ColumnProfile, left_out: LeftOut) -> bool:
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
    elif said[Role.SCORE] and _within_one(c):  # a credit score is a feature
        why = "its name says score"
    elif said[Role.TARGET] and stem(c.name) in roles.abouts:
        why = "its name says target"
    elif plain_name(c.name).startswith(("fallback", "baseline", "heuristic", "shadow")):
        why = "its name says that it is another answer"
    if why:
        left_out.append((c.name, why))
    return bool(why)


def _reference_label(roles: _Roles, target: str) -> str:
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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
