"""Names that columns of prediction logs go by, and how well a name says a role."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum

__all__ = [
    "Role",
    "Strength",
    "is_of_an_entity",
    "is_other_time",
    "plain_name",
    "rank",
    "stem",
    "strength_of",
]


class Role(StrEnum):
    """A role of a column, named like the flag that gives it."""

    TIMESTAMP = "timestamp"
    ID = "id"
    VERSION = "version"
    PREDICTION = "prediction"
    SCORE = "score"
    CLASS_SCORE = "class-score"
    TARGET = "target"
    RECEIVED = "received"
    LATENCY = "latency_ms"
    COST = "cost"
    ERROR = "error"
    SAMPLING = "sampling"
    FEATURE = "feature"
    SEGMENT = "segment"
    ATTRIBUTION = "attribution"
    TASK = "task"
    POSITIVE = "positive"
    TIMEZONE = "timezone"


class Strength(IntEnum):
    """How well a name says a role."""

    NOT = 0
    VALUES = 1
    """Only the values do."""
    AFFIX = 2
    NAME = 3


_NAMES: Mapping[Role, tuple[str, ...]] = {
    Role.TIMESTAMP: (
        "timestamp", "ts", "time", "datetime", "date_time", "event_time", "event_timestamp",
        "prediction_time", "prediction_timestamp", "predicted_at", "created_at", "request_time",
        "inference_time", "inference_timestamp", "scored_at", "served_at", "logging_time",
        "logged_at", "timestamp_ms", "request_timestamp", "date", "zeitstempel", "zeit", "datum",
    ),
    Role.RECEIVED: (
        "received_at", "received", "label_time", "label_timestamp", "labelled_at", "labeled_at",
        "target_time", "target_timestamp", "ground_truth_time", "ground_truth_timestamp",
        "actual_time", "feedback_time", "feedback_at", "outcome_time",
    ),
    Role.ID: (
        "id", "prediction_id", "request_id", "inference_id", "event_id", "identifier", "uuid",
        "guid", "record_id", "row_id", "correlation_id", "trace_id", "transaction_id", "uid",
        "client_request_id", "index_level_0", "unnamed_0", "index", "row_number",
    ),
    Role.VERSION: (
        "model_version", "version", "model", "model_id", "model_name", "deployed_model_id",
        "served_entity_id", "variant", "model_variant", "model_tag", "champion_challenger",
        "modell", "modellversion",
    ),
    Role.PREDICTION: (
        "prediction", "predictions", "predicted", "predict", "y_pred", "y_hat", "yhat",
        "pred", "preds",
        "predicted_label", "prediction_label", "predicted_class", "predicted_value",
        "prediction_class", "prediction_value", "pred_label", "pred_class", "model_output",
        "output_prediction", "output_label", "output_class", "decision", "vorhersage", "prognose",
    ),
    Role.SCORE: (
        "y_pred_proba", "score", "probability", "proba", "prob", "prediction_score",
        "prediction_proba", "prediction_probability", "predicted_probability", "predicted_proba",
        "predicted_score", "pred_proba", "pred_score", "y_score", "y_prob", "y_proba",
        "output_score", "output_probability", "model_score", "scored_probability",
    ),
    Role.TARGET: (
        "target", "targets", "label", "y_true", "y", "ground_truth", "groundtruth", "actual",
        "actuals",
        "actual_label", "actual_value", "true_label", "true_value", "outcome", "observed", "truth",
        "y_actual", "real", "labels", "ziel", "wahrheit",
    ),
    Role.LATENCY: (
        "latency_ms", "latency_millis", "duration_ms", "response_time_ms", "execution_time_ms",
        "execution_duration_ms", "inference_time_ms", "elapsed_ms", "prediction_latency_ms",
    ),
    Role.COST: ("cost", "cost_usd", "cost_eur", "request_cost", "prediction_cost"),
    Role.ERROR: (
        "error", "error_message", "error_code", "exception", "status_code", "http_status",
        "response_status", "response_code",
    ),
    Role.SAMPLING: ("sampling_fraction", "sample_rate", "sampling_rate"),
}  # fmt: skip

_AFFIXES: Mapping[Role, re.Pattern[str]] = {
    Role.TIMESTAMP: re.compile(r".*_(timestamp|time|ts|at|date|datetime)|(timestamp|date)_.*"),
    Role.ID: re.compile(r".*_(id|uuid|guid|identifier)"),
    Role.VERSION: re.compile(r"model_.*(version|name|id)|.*_model_version"),
    Role.PREDICTION: re.compile(
        r".*_(pred|prediction|predicted|yhat)|(pred|predicted|y_pred)_.*"
        r"|prediction_(mean|median|lower|upper|low|high|min|max|[pq]?\d+)"
    ),
    Role.SCORE: re.compile(
        r".*_(score|proba|prob|probability)|(score|proba|prob|probability|p|y_pred_proba)_.*"
    ),
    Role.TARGET: re.compile(r".*_(actual|true|truth|label|target|observed)|(actual|true)_.*"),
}


def plain_name(name: str) -> str:
    """A name in lower case with single underscores: `modelVersion` is `model_version`."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.removeprefix("output."))
    return re.sub(r"[^0-9a-z]+", "_", parted.lower()).strip("_")


_OTHER_TIMES = re.compile(
    r"(^|.*_)(birth|birthday|dob|born|geburt|geburtsdatum|geburtstag|expiry|expires|expiration"
    r"|due|maturity|hired?|signup|signed_up|registered|registration|joined|founded)(_.*|$)"
)

_ENTITIES = re.compile(
    r"(.*_)?(customer|client|user|account|member|patient|passenger|employee|driver|person|company"
    r"|device|vehicle|machine|sensor|store|shop|merchant|seller|product|item|session|household"
    r"|kunde|kunden|konto|geraet)_?(id|uuid|guid|identifier|nr|number)"
)


def is_other_time(name: str) -> bool:
    """Whether a name says a time in the life of something, which no prediction is made at."""
    return _OTHER_TIMES.fullmatch(plain_name(name)) is not None


def is_of_an_entity(name: str) -> bool:
    """Whether a name says who or what a prediction is about: it can come again."""
    return _ENTITIES.fullmatch(plain_name(name)) is not None


def strength_of(role: Role, name: str) -> Strength:
    """How well a name says a role."""
    plain = plain_name(name)
    if plain in _NAMES.get(role, ()):
        return Strength.NAME
    affix = _AFFIXES.get(role)
    return Strength.AFFIX if affix is not None and affix.fullmatch(plain) else Strength.NOT


def rank(role: Role, name: str) -> int:
    """Where a name stands among the usual ones; the first is the most usual."""
    names: Sequence[str] = _NAMES.get(role, ())
    plain = plain_name(name)
    return names.index(plain) if plain in names else len(names)


_ROLE_WORDS = frozenset(
    (
        "y", "pred", "predicted", "prediction", "proba", "prob", "probability", "score", "label",
        "actual", "true", "truth", "target", "observed", "yhat", "value", "class", "output",
    )
)  # fmt: skip


def stem(name: str) -> str:
    """What a name is about, without the word for its role: `late` of `late_predicted`."""
    return "_".join(word for word in plain_name(name).split("_") if word not in _ROLE_WORDS)
