"""JSON documents that are changed in one place: read strictly, written with nothing else changed.

A document that cannot be written again as it was is refused: two values under one name, a number
with more digits than a float holds. So are NaN and what is nested too deep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["pointed", "strict_json", "tokens", "with_value", "written_json"]

_DEEPEST = 200


def strict_json(body: bytes) -> Any:
    """The document. Raises ValueError that says what it is instead, like "no JSON"."""
    try:
        document = json.loads(
            body.decode("utf-8"),
            parse_constant=_refused,
            parse_float=_exact,
            object_pairs_hook=_once,
        )
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None
    except _StrictError:
        raise
    except UnicodeDecodeError:
        raise ValueError("no UTF-8 text") from None
    except ValueError as error:
        if "digits" in str(error):
            raise ValueError("JSON with a number of thousands of digits") from None
        if body[:200].lstrip()[:1] == b"<":
            raise ValueError("a web page, no JSON") from None
        raise ValueError("no JSON") from None
    _check_depth(document)
    return document


def written_json(document: Any) -> bytes:
    """In short form, for a server."""
    return json.dumps(document, allow_nan=False).encode("ascii")


def tokens(pointer: str) -> tuple[str, ...]:
    """The steps of a JSON pointer (RFC 6901)."""
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:])


def pointed(document: Any, steps: Sequence[str]) -> Any:
    """The part of a document. Raises LookupError when it is not there."""
    for step in steps:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and (place := _place(step, document)) is not None:
            document = document[place]
        else:
            raise LookupError
    return document


def with_value(document: Any, steps: Sequence[str], value: Any) -> Any:
    """A document like the given one with another value at a place; the last step may be a new key.

    Raises LookupError when there is no such place.
    """
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(document, dict) and (step in document or not rest):
        return {**document, step: with_value(document.get(step), rest, value)}
    if isinstance(document, list) and (place := _place(step, document)) is not None:
        changed = with_value(document[place], rest, value)
        return [*document[:place], changed, *document[place + 1 :]]
    raise LookupError


class _StrictError(ValueError):
    """What JSON allows and we do not."""


def _place(step: str, items: list[Any]) -> int | None:
    if not (step.isascii() and step.isdigit() and len(step) < 9):
        return None
    return int(step) if int(step) < len(items) else None


def _refused(name: str) -> None:
    raise _StrictError(f"JSON with {name} in it")


def _exact(text: str) -> float:
    number = float(text)
    try:
        same = Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        same = False
    if not same:
        raise _StrictError("JSON with a number that cannot be written again exactly")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _StrictError("JSON with two values under one name")
    return made


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise _StrictError("JSON that is nested too deep")
