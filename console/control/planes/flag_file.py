"""The buckets of a flag's `fractional` targeting in a flag file of flagd.

Only the text of the buckets is changed, so that the rest of the file stays as people wrote it; the
new text is parsed and must say what is wanted and else the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.text import clean
from console.control.planes.documents import pointed, strict_json, with_value

__all__ = ["Flag", "read_flag", "with_buckets"]

_FRACTIONAL = re.compile(r'"fractional"\s*:\s*')


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that divides traffic. buckets: variant and weight, as written; 1 where none is.

    enabled: else everybody gets the default of the program. alone: whether all requests come to
    the division, and none is decided before.
    """

    variants: tuple[str, ...]
    buckets: tuple[tuple[str, int], ...]
    enabled: bool
    alone: bool


def read_flag(text: str, flag: str) -> Flag:
    """The flag of this key. Raises ValueError in a sentence about the file."""
    document = _document(text)
    place = _place(document, flag)
    body = pointed(document, place[:2])
    variants = body.get("variants")
    return Flag(
        tuple(variants) if isinstance(variants, dict) else (),
        tuple(_buckets(pointed(document, place))),
        body.get("state") == "ENABLED",
        len(place) == 4,
    )


def with_buckets(text: str, flag: str, weights: Mapping[str, int]) -> str:
    """The text with these weights, new buckets last, and nothing else changed.

    Raises ValueError in a sentence.
    """
    document = _document(text)
    place = _place(document, flag)
    old = pointed(document, place)
    there = [item[0] for item in old if isinstance(item, list)]
    new = [
        [item[0], weights[item[0]]] if isinstance(item, list) and item[0] in weights else item
        for item in old
    ]
    new += [[name, weight] for name, weight in weights.items() if name not in there]
    wanted = with_value(document, place, new)
    for found in _FRACTIONAL.finditer(text):
        start = found.end()
        try:
            held, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        if held != old:
            continue
        changed = text[:start] + _edited(text[start:end], new) + text[end:]
        if _document(changed) == wanted:
            return changed
    raise ValueError("the weights cannot be changed without changing something else")


def _document(text: str) -> Any:
    try:
        return strict_json(text.encode())
    except ValueError as error:
        raise ValueError(f"it is {error}") from None


def _place(document: Any, flag: str) -> tuple[str, ...]:
    """The way to the list of the one `fractional` of a flag."""
    shown = clean(flag, 60)
    try:
        body = pointed(document, ("flags", flag))
    except LookupError:
        raise ValueError(f"there is no flag {shown!r} in it") from None
    if not isinstance(body, dict):
        raise ValueError(f"the flag {shown!r} is no object")
    found = list(_fractionals(body.get("targeting"), ("flags", flag, "targeting")))
    if not found:
        raise ValueError(f"the flag {shown!r} has no `fractional` in its targeting; write one")
    if len(found) > 1:
        raise ValueError(
            f"the flag {shown!r} has {len(found)} `fractional` rules; which one divides the "
            "traffic is not certain, so leave one"
        )
    return found[0]


def _fractionals(rule: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Ways to all of them; a document of bounded depth."""
    if isinstance(rule, dict):
        for key, inner in rule.items():
            if key == "fractional" and isinstance(inner, list):
                yield (*place, key)
            yield from _fractionals(inner, (*place, key))
    elif isinstance(rule, list):
        for n, inner in enumerate(rule):
            yield from _fractionals(inner, (*place, str(n)))


def _buckets(held: list[Any]) -> Iterator[tuple[str, int]]:
    """Variants and weights; what comes before them is the value that is divided by."""
    seen = set()
    for n, item in enumerate(held):
        if n == 0 and not isinstance(item, list):
            continue
        name = item[0] if isinstance(item, list) and item else None
        weight = item[1] if isinstance(item, list) and len(item) == 2 else 1
        if not isinstance(name, str) or not isinstance(item, list) or len(item) > 2:
            raise ValueError(f"bucket {n} is not a variant with its weight")
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 0:
            said = clean(json.dumps(weight), 40)
            raise ValueError(f"the weight of {clean(name, 60)!r} is {said}, not a whole number")
        if name in seen:
            raise ValueError(f"the variant {clean(name, 60)!r} has two buckets")
        seen.add(name)
        yield name, weight


def _edited(text: str, new: list[Any]) -> str:
    """The text of the list with new weights, in its own style where that can be."""
    kept = text
    for item in new:
        if isinstance(item, list):
            forms = {json.dumps(item[0], ensure_ascii=ascii_only) for ascii_only in (True, False)}
            name = "|".join(re.escape(form) for form in sorted(forms))
            bucket = re.compile(rf"(\[\s*(?:{name})\s*)(?:(,\s*)\d+)?(\s*\])")
            weight = item[1] if len(item) == 2 else 1
            kept = bucket.sub(
                lambda m, w=weight: f"{m[1]}{m[2] or ', '}{w}{m[3]}",  # type: ignore[misc]
                kept,
            )
    try:
        if json.loads(kept) == new:
            return kept
    except ValueError:
        pass
    return json.dumps(new, ensure_ascii=False)
