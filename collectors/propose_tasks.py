"""What a task asks of the answer, the score and the truth, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.contract import Task
from collectors.profile import ColumnProfile
from collectors.propose_checks import (
    as_answer,
    as_answers,
    is_yes_or_no,
    ordering,
    rarely_low,
    tells_apart,
    values_of,
)
from collectors.propose_outputs import Outputs, positive_of
from collectors.propose_roles import Reason, Roles
from collectors.role_names import Role, Strength, stem, strength_of

__all__ = ["fields_of"]

_AGAINST, _APART, _TOGETHER = 0.2, 0.8, 0.95
"""How often a yes has the higher score where the score is of the other class, where the two have
something to do with each other, and where one follows from the other."""


def fields_of(roles: Roles, task: Task, outputs: Outputs) -> dict[str, object]:
    """The fields of a deployment that depend on the task."""
    prediction = outputs.prediction.name if outputs.prediction is not None else ""
    fields: dict[str, object] = {"prediction": prediction}
    match task:
        case Task.BINARY:
            return fields | _binary(roles, outputs)
        case Task.MULTICLASS:
            if prediction:
                _same_words(roles, outputs, binary=False)
            else:
                roles.doubt(Role.PREDICTION, _names(roles.free), "no column is the class")
            return fields | {"class_scores": dict(outputs.class_scores)}
        case Task.REGRESSION:
            if not prediction and outputs.score is not None:
                fields["prediction"] = outputs.score.name
            elif not prediction:
                roles.doubt(Role.PREDICTION, _names(roles.free), "no column is the answer")
            return fields


def _binary(roles: Roles, outputs: Outputs) -> dict[str, object]:
    if outputs.prediction is None and outputs.score is None and not outputs.class_scores:
        _nothing_answered(roles)
        return {}
    if not _same_words(roles, outputs, binary=True):
        return {}
    positive = _positive(roles, outputs)
    score = outputs.score.name if outputs.score is not None else ""
    if outputs.class_scores:
        of_yes = [c for k, c in outputs.class_scores.items() if as_answer(k) == "1"]
        score = outputs.class_scores.get(positive, "") if positive else "".join(of_yes[:1])
    if score and not roles.doubts:
        score = _fitting_score(roles, outputs, score, positive)
    if score and outputs.prediction is None:
        roles.notes.append(f"there is no prediction: {score} of at least 0.5 counts as one")
    return {"score": score, "positive": positive}


def _nothing_answered(roles: Roles) -> None:
    beyond = roles.best(Role.SCORE, lambda c: c.numeric, least=Strength.NAME)
    for c in beyond[:1]:
        roles.doubt(
            Role.SCORE,
            (),
            f"{c.name} goes from {c.low:g} to {c.high:g}, and a score lies between 0 and 1",
        )
        return
    roles.doubt(Role.PREDICTION, _names(roles.free), "no column is the answer")


def _names(columns: Sequence[ColumnProfile]) -> list[str]:
    return [c.name for c in columns][:20]


def _answers(roles: Roles, outputs: Outputs) -> dict[str, frozenset[str]]:
    """The answer's and the truth's values by their columns."""
    found: dict[str, frozenset[str]] = {}
    log, labels = roles.sources.log, roles.sources.labels
    if outputs.prediction is not None:
        found[outputs.prediction.name] = values_of(log, outputs.prediction.name)
    if outputs.target is not None:
        name = outputs.target.name
        there = labels if labels is not None and name in labels.names else log
        found[name] = values_of(there, name)
    return found


def _same_words(roles: Roles, outputs: Outputs, *, binary: bool) -> bool:
    """Whether answer and truth have values in common; without any no answer would be right."""
    known = _answers(roles, outputs)
    if len(known) < 2 or any(len(values) < 2 for values in known.values()):
        return True
    given = roles.given
    positive = "" if _usual_yes(given.positive, known) else given.positive
    said, true = (as_answers(v, positive, binary=binary) for v in known.values())
    if said & true:
        return True
    (prediction, answers), (target, truths) = known.items()
    why = f"{prediction} says {_few(answers)} and {target} says {_few(truths)}: never the same"
    if given.target and given.prediction:
        roles.notes.append(why)
        return True
    role = Role.PREDICTION if given.target else Role.TARGET
    others = [c.name for c in roles.free if set(c.values) & (truths if given.target else answers)]
    roles.doubt(role, others[:20], why)
    return False


def _few(values: frozenset[str]) -> str:
    first = sorted(values)[:4]
    return ", ".join(first) + (" ..." if len(values) > len(first) else "")


def _positive(roles: Roles, outputs: Outputs) -> str:
    """The positive value; "" where yes and no are read without being told."""
    given = roles.given.positive
    known = _answers(roles, outputs)
    if not given:
        positive, why, candidates = positive_of(outputs, roles.sources.log)
        if candidates:
            roles.doubt(Role.POSITIVE, candidates, why)
        elif positive:
            roles.reasons.append(Reason(Role.POSITIVE.value, positive, why))
        return positive
    if _usual_yes(given, known):
        return ""
    for name, values in known.items():
        if len(values) > 1 and given not in values:
            roles.doubt(Role.POSITIVE, sorted(values)[:20], f"{name} never says {given!r}")
            break
    return given


def _usual_yes(positive: str, known: Mapping[str, frozenset[str]]) -> bool:
    """Whether a positive value need not be told: 1, 1.0 and true are one."""
    return as_answer(positive) == "1" and all(is_yes_or_no(values) for values in known.values())


def _fitting_score(roles: Roles, outputs: Outputs, score: str, positive: str) -> str:
    """The score, when answer and truth bear out that it is the probability of a yes."""
    log, given = roles.sources.log, roles.given
    said = outputs.prediction or outputs.target
    truth = outputs.target.name if outputs.target is not None else ""
    if truth in log.names and tells_apart(log, score, truth, positive):
        roles.notes.append(f"{score} tells {truth} apart without a mistake: is it so?")
    order = ordering(log, score, said.name, positive) if said and said.name in log.names else None
    if said is None or order is None:
        return score
    told = bool(given.score or given.class_scores)
    if order < _AGAINST:
        why = f"{score} is lower where {said.name} says {positive or 'yes'}"
        if told or given.positive:
            roles.notes.append(f"{why}: is it so?")
        else:
            roles.doubt(Role.POSITIVE, said.values[:20], f"{why}: it may be of the other")
        return score
    why = "" if told else _another_score(roles, outputs, score, order, positive)
    if why and outputs.prediction is None:
        roles.doubt(Role.SCORE, (score,), f"{score} may not be the probability of a yes: {why}")
    elif why:
        roles.take_back(Role.SCORE, score, why)
        return ""
    return score


def _another_score(roles: Roles, outputs: Outputs, score: str, order: float, positive: str) -> str:
    """Why a score is no probability of a yes; "" when nothing speaks against it."""
    said = outputs.prediction or outputs.target
    if said is None or outputs.class_scores:
        return ""
    if order < _TOGETHER and rarely_low(roles.sources.log, score, said.name, positive):
        return f"never below 0.5, also where {said.name} says no"
    by_affix = strength_of(Role.SCORE, score) is Strength.AFFIX and stem(score) != stem(said.name)
    if by_affix and outputs.prediction is not None and order < _APART:
        return f"its name says score, but {said.name} does not follow it"
    return ""
