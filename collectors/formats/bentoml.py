"""BentoML's monitor logs: one flat object per request, and a schema log that says the roles.

Times are local and naive: the deployment's `timezone` says which. The schema's own records are no
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.formats.records import (
    ID,
    TIMESTAMP,
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    Scalar,
    flat_columns,
)
from collectors.store.reasons import Reason

__all__ = ["DECODER", "schema_roles"]


class _BentoML(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder. A record of data looks like any table's; only the schema tells."""
        return schema_roles(record) is not None

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        if schema_roles(record) is not None:
            return []
        request = record.get("request_id")
        if not isinstance(request, str) or not request:
            raise RecordError(Reason.NO_ID, "no request_id")
        values: dict[str, Scalar] = {ID: request}
        time = record.get("timestamp")
        if isinstance(time, str):
            values[TIMESTAMP] = time
        rest = {k: v for k, v in record.items() if k not in ("request_id", "timestamp")}
        return [Row(Part.WHOLE, request, {**flat_columns(rest), **values})]


def schema_roles(record: Record) -> Mapping[str, str] | None:
    """column -> feature, prediction or target, of a schema record; None for any other."""
    columns = record.get("columns")
    if not isinstance(columns, list) or not columns:
        return None
    found: dict[str, str] = {}
    for column in columns:
        if not isinstance(column, dict):
            return None
        name, role = column.get("name"), column.get("role")
        if not isinstance(name, str) or not isinstance(role, str):
            return None
        found[name] = role
    return found


DECODER = _BentoML()
