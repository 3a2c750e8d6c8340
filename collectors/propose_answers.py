"""Which columns are the answer, its scores and the truth."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.profile import ColumnProfile
from collectors.propose_checks import as_answer, is_yes_or_no
from collectors.propose_outputs import Outputs, class_score_columns, kept_promise, same_everywhere
from collectors.propose_roles import Reason, Roles, within_one
from collectors.role_names import Role, Strength, plain_name, stem, strength_of

__all__ = ["outputs_of", "promised", "target_of"]


def target_of(roles: Roles) -> str:
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
        about = [
            c for c in roles.free if plain_name(c.name) in outputs - {""} and not _is_output(c.name)
        ]
        if not found and about:  # `tip` beside `predicted_tip`
            return roles.settle(Role.TARGET, about, "predictions are named after it")
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


def promised(roles: Roles, outputs: Outputs) -> str:
    """The ground truth by its values: what the score promises, and nothing else does."""
    log = roles.sources.log
    scores = [column for name, column in outputs.class_scores.items() if as_answer(name) == "1"]
    score = outputs.score.name if outputs.score is not None else "".join(scores[:1])
    found = [
        c
        for c in roles.free
        if score
        and c.n_distinct == 2
        and is_yes_or_no(frozenset(c.values))
        and kept_promise(log, score, c.name)
    ]
    target = roles.settle(Role.TARGET, found, f"is yes as often as {score} promises")
    if not target and not found:
        scored = outputs.score is not None or outputs.class_scores
        means = "performance is estimated from scores" if scored else "nothing is known to be wrong"
        roles.notes.append(f"there is no ground truth: {means}")
    return target


def _is_output(name: str) -> bool:
    return any(
        strength_of(role, name) is not Strength.NOT for role in (Role.PREDICTION, Role.SCORE)
    )


def outputs_of(roles: Roles, target: str) -> Outputs:
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
        found = roles.best(Role.SCORE, lambda c: c.numeric and within_one(c))
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


def _about(roles: Roles, found: Sequence[ColumnProfile], target: str) -> Sequence[ColumnProfile]:
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
