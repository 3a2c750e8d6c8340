"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as Kubernetes applies them."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["BadPatchError", "RefusedPatchError", "json_patched", "merge_patched"]


class BadPatchError(Exception):
    """It is no patch: 400."""


class RefusedPatchError(Exception):
    """It does not fit the object: 422."""


def merge_patched(target: Any, patch: Any) -> Any:
    """The target with a merge patch; lists are replaced, null takes away."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge_patched(made.get(key), value)
    return made


def json_patched(target: Any, patch: Any) -> Any:
    """The target with a JSON patch: all of its steps, or none."""
    if not isinstance(patch, list):
        raise BadPatchError("a JSON patch is a list")
    made = copy.deepcopy(target)
    for step in patch:
        if not isinstance(step, dict) or not isinstance(step.get("path"), str):
            raise BadPatchError("a step has an op and a path")
        made = _step(made, step)
    return made


def _step(document: Any, step: dict[str, Any]) -> Any:
    op, steps = step.get("op"), _tokens(step["path"])
    if op in ("add", "replace", "test") and "value" not in step:
        raise BadPatchError(f"{op} needs a value")
    if op == "add":
        return _put(document, steps, copy.deepcopy(step["value"]), insert=True)
    if op == "replace":
        _get(document, steps)
        return _put(document, steps, copy.deepcopy(step["value"]), insert=False)
    if op == "remove":
        return _taken(document, steps)
    if op == "test":
        found, wanted = _get(document, steps), step["value"]
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            raise RefusedPatchError(f"testing value {step['path']} failed")
        return document
    if op in ("move", "copy"):
        source = _tokens(str(step.get("from")))
        value = copy.deepcopy(_get(document, source))
        if op == "move":
            document = _taken(document, source)
        return _put(document, steps, value, insert=True)
    raise BadPatchError(f"unknown op {op}")


def _tokens(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise BadPatchError("a pointer begins with /")
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer[1:].split("/")]


def _inner(document: Any, token: str) -> Any:
    if isinstance(document, dict) and token in document:
        return document[token]
    if isinstance(document, list):
        return document[_place(document, token, len(document))]
    raise RefusedPatchError(f"there is no {token}")


def _place(items: list[Any], step: str, below: int) -> int:
    if not step.isdigit() or (step != "0" and step[0] == "0") or int(step) >= below:
        raise RefusedPatchError(f"there is no place {step} among {len(items)}")
    return int(step)


def _get(document: Any, steps: list[str]) -> Any:
    for token in steps:
        document = _inner(document, token)
    return document


def _put(document: Any, steps: list[str], value: Any, *, insert: bool) -> Any:
    if not steps:
        return value
    holder, last = _get(document, steps[:-1]), steps[-1]
    if isinstance(holder, dict):
        holder[last] = value
    elif isinstance(holder, list) and not insert:
        holder[_place(holder, last, len(holder))] = value
    elif isinstance(holder, list):
        place = len(holder) if last == "-" else _place(holder, last, len(holder) + 1)
        holder.insert(place, value)
    else:
        raise RefusedPatchError(f"nothing can be put at {last}")
    return document


def _taken(document: Any, steps: list[str]) -> Any:
    if not steps:
        raise RefusedPatchError("the whole cannot be taken away")
    _get(document, steps)
    holder, last = _get(document, steps[:-1]), steps[-1]
    if isinstance(holder, list):
        del holder[int(last)]
    else:
        del holder[last]
    return document
