"""Azure ML's data collector: events of model inputs and of model outputs, in files of their own.

`data` is a list of rows, of one request or of several under one `correlationid`; inputs and outputs
are joined by it and their place. The version is `modelversion`, else the deployment's name in the
path `{endpoint}/{deployment}/{collection}/yyyy/MM/dd/HH/` or in `source`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from collectors.formats.bodies import body_of, request_rows, response_rows
from collectors.formats.records import (
    SERVICE,
    TIMESTAMP,
    VERSION,
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    Scalar,
    of_batch,
)
from collectors.store.reasons import Reason

__all__ = ["DECODER"]

_TYPE = re.compile(r"azureml\.inference\.(?:model_)?(inputs|outputs)(?:_.*)?", re.IGNORECASE)
_PATH = re.compile(r"([^/]+)/([^/]+)/[^/]+/\d{4}/\d{2}/\d{2}/\d{2}/[^/]+$")
_SOURCE = re.compile(r"/onlineEndpoints/([^/]+)/deployments/([^/]+)", re.IGNORECASE)


class _AzureML(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        kind = record.get("type")
        return isinstance(kind, str) and kind.startswith("azureml.inference.")

    def of_path(self, path: Path) -> Mapping[str, Scalar]:
        """See Decoder."""
        found = _PATH.search(path.as_posix())
        return {SERVICE: found.group(1), VERSION: found.group(2)} if found else {}

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        kind = record.get("type")
        found = _TYPE.fullmatch(kind) if isinstance(kind, str) else None
        if found is None:
            raise RecordError(Reason.UNKNOWN_RECORD, f"an event of type {str(kind)[:100]}")
        request = record.get("correlationid") or record.get("xrequestid")
        if not isinstance(request, str):
            raise RecordError(Reason.NO_ID, "no correlationid")
        rows = _data(record)
        common = _common(record)
        if found.group(1).lower() == "inputs":
            return of_batch(Part.REQUEST, request, request_rows(rows), common)
        return of_batch(Part.RESPONSE, request, response_rows(rows), common)


def _data(record: Record) -> object:
    data = record.get("data")
    if data is None or data in ("", []):
        if record.get("datainblob") or record.get("dataref"):
            raise RecordError(Reason.POINTER, str(record.get("dataref") or "in a blob")[:200])
        raise RecordError(Reason.NO_PAYLOAD, "no data")
    if isinstance(data, str):
        if str(record.get("datainblob", "")).lower() == "true":
            raise RecordError(Reason.BINARY_PAYLOAD, "in a blob")
        kind = str(record.get("datacontenttype", "json")).lower()
        if "json" not in kind:
            raise RecordError(Reason.BINARY_PAYLOAD, kind[:100])
        return body_of(data)
    if isinstance(data, dict) and len(data) == 1 and next(iter(data)) in ("ref", "dataref", "path"):
        raise RecordError(Reason.POINTER, str(next(iter(data.values())))[:200])
    return data


def _common(record: Record) -> dict[str, Scalar]:
    common: dict[str, Scalar] = {}
    time = record.get("time")
    if isinstance(time, str):
        common[TIMESTAMP] = time
    version = record.get("modelversion")
    source = _SOURCE.search(str(record.get("source", "")))
    if isinstance(version, str) and version:
        common[VERSION] = version
    elif source:
        common[VERSION] = source.group(2)
    if source:
        common[SERVICE] = source.group(1)
    return common


DECODER = _AzureML()
