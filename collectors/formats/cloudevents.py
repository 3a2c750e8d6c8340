"""CloudEvents as they are dumped: structured, or the headers of a binary one beside its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.formats.bodies import body_of, decoded_base64
from collectors.formats.records import Record, RecordError
from collectors.store.reasons import Reason

__all__ = ["Event", "event_of", "event_type"]

_BODIES = ("data", "body", "payload", "data_base64")
_JSON_TYPES = ("json", "")


@dataclass(frozen=True, slots=True)
class Event:
    """An event. attributes: names in lower case without `ce-`, extensions among them."""

    attributes: Mapping[str, str]
    body: object

    def get(self, *names: str) -> str:
        """The first attribute that is there and not empty; else empty."""
        return next((self.attributes[n] for n in names if self.attributes.get(n)), "")


def event_type(record: Record) -> str:
    """The type of a record that may be an event; empty when it is none."""
    found = _attributes(record).get("type", "")
    return found if isinstance(found, str) else ""


def event_of(record: Record) -> Event:
    """A record as an event. Raises RecordError when its body cannot be read."""
    attributes = _attributes(record)
    return Event(attributes, _body(record, attributes))


def _attributes(record: Record) -> dict[str, str]:
    headers = record.get("headers")
    source = headers if isinstance(headers, dict) else record
    found: dict[str, str] = {}
    for key, given in source.items():
        plain = key.lower().removeprefix("ce-").removeprefix("ce_")
        # headers may come as lists
        value = given[0] if isinstance(given, list) and len(given) == 1 else given
        if isinstance(value, str) and plain not in _BODIES:
            found.setdefault(plain, value)
    if source is headers:
        for key in ("time", "timestamp"):
            outer = record.get(key)
            if isinstance(outer, str):
                found.setdefault("time", outer)
    return found


def _body(record: Record, attributes: Mapping[str, str]) -> object:
    if isinstance(record.get("data_base64"), str):
        return body_of(decoded_base64(str(record["data_base64"])))
    kind = attributes.get("datacontenttype", attributes.get("content-type", "")).lower()
    value = next((record[key] for key in ("data", "body", "payload") if key in record), None)
    if isinstance(value, str) and kind and not any(k in kind for k in _JSON_TYPES if k):
        raise RecordError(Reason.BINARY_PAYLOAD, kind[:100])
    if isinstance(value, str) and not value.lstrip().startswith(("{", "[", '"')):
        return body_of(decoded_base64(value))
    return body_of(value)
