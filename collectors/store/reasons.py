"""Why a record is in quarantine."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Why a record is in quarantine."""

    NOT_READABLE = "not readable"
    NOT_UTF8 = "not UTF-8"
    TOO_LONG = "line too long"
    NO_ID = "no id"
    ID_TOO_LONG = "id too long"
    NO_TIMESTAMP = "no timestamp"
    BAD_TIMESTAMP = "timestamp not readable"
    NO_ZONE = "timestamp without zone"
    FUTURE = "timestamp in the future"
    TOO_OLD = "timestamp before 1970"
    NO_PREDICTION = "no prediction"
    BAD_PREDICTION = "prediction not readable"
    BAD_SCORE = "score not between 0 and 1"
    BAD_NUMBER = "number not usable"
    BAD_VERSION = "version too long"
    NO_LABEL = "no label"
    BAD_LABEL = "label not readable"
    NO_METRIC = "no metric name"
    CONFLICT = "same id, other content"
    SEALED = "older than the raw rows that are kept"
    UNKNOWN_RECORD = "no record of this format"
    NO_PAYLOAD = "no payload"
    BAD_PAYLOAD = "payload not readable"
    BINARY_PAYLOAD = "binary payload"
    POINTER = "payload kept elsewhere"
    SIZES_DIFFER = "request and response of different size"
    OTHER_TRAFFIC = "other traffic than asked for"
    OUT_OF_RANGE = "out of range"
    NOT_ALLOWED = "value not allowed"
    REQUIRED = "required value missing"
