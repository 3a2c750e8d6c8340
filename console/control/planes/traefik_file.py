"""The weights of a weighted service in Traefik's dynamic configuration, YAML or TOML.

Nothing but the digits of the weights is changed: comments, order and style of the file stay. After
that the new text is parsed, and must say the same as before except for the weights; where that is
not certain (an anchor that others share, a weight that is not written out), the file is left alone.

Names of Traefik's own keys are compared as Traefik does, without regard to case.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from collectors.text import clean

__all__ = ["Entry", "Service", "read_service", "with_weights"]

_MOST_EVENTS = 300_000
_DEEPEST = 100
_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_TOML_WEIGHT = re.compile(r"(?i)\bweight[\"']?\s*=\s*([0-9]+)\b")
_PROBE = 7_000_000_000_000
"""Weights that no file has, to see which text is which weight."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the services that a weighted one sends to. weight: 1 where none is written, as Traefik
    takes it; as text where it is no whole number from 0.

    place: where the digits are in the text; None where they are not written out.
    """

    name: str
    weight: int | str
    place: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Service:
    """A weighted service. sticky: whether a client's cookie decides after its first request."""

    entries: tuple[Entry, ...]
    sticky: bool


def read_service(text: str, path: Path, service: str) -> Service:
    """The weighted service of this name. Raises ValueError in a sentence about the file."""
    if path.suffix.lower() == ".toml":
        return _toml_service(text, service)
    return _yaml_service(_yaml_leaves(text), service)


def with_weights(text: str, path: Path, service: str, weights: Mapping[str, int]) -> str:
    """The text with other weights for the named entries, and nothing else changed.

    Raises ValueError in a sentence. weights: by an entry's name, as the file has it.
    """
    found = read_service(text, path, service)
    places: list[tuple[tuple[int, int], int]] = []
    for entry in found.entries:
        if entry.name not in weights:
            continue
        if entry.place is None:
            raise ValueError(
                f"the weight of {clean(entry.name, 60)!r} is not written out as a plain number; "
                "write it like `weight: 1`"
            )
        places.append((entry.place, weights[entry.name]))
    new = _replaced(text, places)
    if path.suffix.lower() == ".toml":
        same = _toml_same(text, new, service, found, weights)
    else:
        same = _yaml_same(text, new, service, weights)
    if not same:
        raise ValueError("the weights cannot be changed without changing something else")
    return new


def _replaced(text: str, places: list[tuple[tuple[int, int], int]]) -> str:
    for (start, end), value in sorted(places, reverse=True):
        text = f"{text[:start]}{value}{text[end:]}"
    return text


# --- YAML ------------------------------------------------------------------------------------

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A scalar or an alias, where it is and what it is."""

    path: _Path
    value: str
    kind: str
    """Style, tag and anchor: all else that it is."""
    place: tuple[int, int] | None
    """Of its text without quotes; None for an alias, and for what has an anchor or a tag."""


@dataclass(slots=True)
class _Level:
    is_map: bool
    key: str | None = None
    index: int = 0


def _yaml_leaves(text: str) -> tuple[_Leaf, ...]:
    try:
        yaml: Any = import_module("yaml")  # an extra, and 16 ms
    except ImportError:
        raise ValueError(
            "reading YAML needs PyYAML: pip install 'modelwatch[traefik]'; or write it as TOML"
        ) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return tuple(_walked(yaml.parse(text, Loader=loader), text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        what = clean(getattr(error, "problem", None) or "it cannot be read", 120)
        raise ValueError(f"it is no YAML{where}: {what}") from None
    except UnicodeError:
        raise ValueError("it is no YAML: it holds half a character") from None


def _walked(events: Iterator[Any], text: str) -> Iterator[_Leaf]:
    """All scalars of the one document. Events, not objects: no alias is ever unfolded."""
    stack: list[_Level] = []
    n_documents = 0
    for n, event in enumerate(events):
        name = type(event).__name__
        if n > _MOST_EVENTS or len(stack) > _DEEPEST:
            raise ValueError("it holds too much, or is nested too deep")
        if name == "DocumentStartEvent":
            n_documents += 1
            if n_documents > 1:
                raise ValueError("it holds several documents; Traefik reads the first only")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            stack.pop()
            _passed(stack)
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            if _is_key(stack):
                raise ValueError("it has a key that is no text")
            yield _Leaf(_path(stack), "", f"{name} {event.tag} {event.anchor}", None)
            stack.append(_Level(is_map=name == "MappingStartEvent"))
        elif name == "AliasEvent":
            if _is_key(stack):
                raise ValueError("it has a key that is no text")
            yield _Leaf(_path(stack), event.anchor, "alias", None)
            _passed(stack)
        elif name == "ScalarEvent":
            if _is_key(stack):
                stack[-1].key = event.value
                continue
            yield _scalar(event, _path(stack), text)
            _passed(stack)


def _scalar(event: Any, path: _Path, text: str) -> _Leaf:
    start, end = event.start_mark.index, event.end_mark.index
    if event.style in ("'", '"'):
        start, end = start + 1, end - 1
    plain = event.anchor is None and event.tag is None and text[start:end] == event.value
    kind = f"{event.style} {event.tag} {event.anchor}"
    return _Leaf(path, event.value, kind, (start, end) if plain else None)


def _is_key(stack: list[_Level]) -> bool:
    return bool(stack) and stack[-1].is_map and stack[-1].key is None


def _path(stack: list[_Level]) -> _Path:
    return tuple((level.key or "") if level.is_map else level.index for level in stack)


def _passed(stack: list[_Level]) -> None:
    if stack:
        stack[-1].key = None
        stack[-1].index += 1


def _yaml_service(leaves: Sequence[_Leaf], service: str) -> Service:
    at = [leaf for leaf in leaves if _in_service(leaf.path, service)]
    if not at:
        raise ValueError(f"there is no service {clean(service, 60)!r} in it")
    if any(leaf.kind == "alias" for leaf in at):
        raise ValueError(f"the service {clean(service, 60)!r} is made with aliases; write it out")
    weighted = [leaf for leaf in at if _key(leaf.path, 3) == "weighted"]
    items: dict[int, dict[str, _Leaf]] = {}
    for leaf in weighted:
        if _key(leaf.path, 4) != "services" or len(leaf.path) < 7:
            continue
        fields = items.setdefault(int(leaf.path[5]) if isinstance(leaf.path[5], int) else -1, {})
        if len(leaf.path) == 7 and fields.setdefault(_key(leaf.path, 6), leaf) is not leaf:
            raise ValueError(f"{_key(leaf.path, 6)!r} is there twice")
    sticky = any(_key(leaf.path, 4) == "sticky" for leaf in weighted)
    entries = []
    for fields in items.values():
        weight = fields.get("weight")
        name = fields["name"].value if "name" in fields else ""
        entries.append(
            Entry(
                name,
                1 if weight is None else _number(weight.value),
                None if weight is None else weight.place,
            )
        )
    return _service(entries, sticky, service)


def _in_service(path: _Path, service: str) -> bool:
    return (
        len(path) >= 3
        and _key(path, 0) == "http"
        and _key(path, 1) == "services"
        and path[2] == service
    )


def _key(path: _Path, place: int) -> str:
    step = path[place] if place < len(path) else ""
    return step.casefold() if isinstance(step, str) else ""


def _yaml_same(text: str, new: str, service: str, weights: Mapping[str, int]) -> bool:
    before, after = _yaml_leaves(text), _yaml_leaves(new)
    if len(before) != len(after):
        return False
    for old, now in zip(before, after, strict=True):
        if (old.path, old.kind) != (now.path, now.kind):
            return False
        is_weight = (
            len(old.path) == 7 and _in_service(old.path, service) and _key(old.path, 6) == "weight"
        )
        if old.value != now.value and not is_weight:
            return False
    old_service, new_service = _yaml_service(before, service), _yaml_service(after, service)
    return _as_wanted(old_service, new_service, weights)


# --- TOML ------------------------------------------------------------------------------------


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no TOML: {clean(error, 160)}") from None


def _toml_service(text: str, service: str) -> Service:
    document = _toml(text)
    # every number that may be a weight becomes one that tells where it stands
    places = [found.span(1) for found in _TOML_WEIGHT.finditer(text)]
    probe = _replaced(text, [(place, _PROBE + n) for n, place in enumerate(places)])
    try:
        marked = _toml_items(_toml(probe), service)
    except ValueError:
        marked = []
    items = _toml_items(document, service)
    entries = []
    for n, item in enumerate(items):
        mark = marked[n].get("weight") if len(marked) == len(items) else None
        place = places[mark - _PROBE] if isinstance(mark, int) and mark >= _PROBE else None
        weight = item.get("weight", 1)
        entries.append(Entry(str(item.get("name", "")), _number(str(weight)), place))
    return _service(entries, "sticky" in _toml_weighted(document, service), service)


def _toml_weighted(document: Any, service: str) -> dict[str, Any]:
    services = _folded(_folded(document).get("http")).get("services")
    if not isinstance(services, dict) or service not in services:
        raise ValueError(f"there is no service {clean(service, 60)!r} in it")
    return _folded(_folded(services[service]).get("weighted"))


def _toml_items(document: Any, service: str) -> list[dict[str, Any]]:
    items = _toml_weighted(document, service).get("services")
    return [_folded(item) for item in items] if isinstance(items, list) else []


def _folded(table: Any) -> dict[str, Any]:
    """A table by its keys without regard to case; empty for anything else."""
    if not isinstance(table, dict):
        return {}
    made = {key.casefold(): value for key, value in table.items()}
    if len(made) < len(table):
        raise ValueError("it has a key twice, in capitals and in small letters")
    return made


def _toml_same(
    text: str, new: str, service: str, found: Service, weights: Mapping[str, int]
) -> bool:
    expected, got = _toml(text), _toml(new)
    for document in (expected, got):
        for item in _toml_raw_items(document, service):
            for key in [k for k in item if k.casefold() == "weight"]:
                item[key] = 0
    if expected != got:
        return False
    return _as_wanted(found, _toml_service(new, service), weights)


def _toml_raw_items(document: Any, service: str) -> Iterator[dict[str, Any]]:
    """The tables themselves, to be changed."""
    for key in ("http", "services", "", "weighted", "services"):
        if key:
            document = next(v for k, v in document.items() if k.casefold() == key)
        else:
            document = document[service]
    yield from (item for item in document if isinstance(item, dict))


# --- both ------------------------------------------------------------------------------------


def _service(entries: list[Entry], sticky: bool, service: str) -> Service:
    if not entries:
        raise ValueError(f"the service {clean(service, 60)!r} is not of the kind `weighted`")
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"the service {clean(service, 60)!r} sends to one service twice")
    return Service(tuple(entries), sticky)


def _number(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def _as_wanted(before: Service, after: Service, weights: Mapping[str, int]) -> bool:
    wanted = [(e.name, weights.get(e.name, e.weight)) for e in before.entries]
    return [(e.name, e.weight) for e in after.entries] == wanted
