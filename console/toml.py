"""A deployment as TOML that reads back as the same one, with comments that say why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collectors.contract import Deployment
from collectors.quality_rules import Quality

__all__ = ["configuration_toml", "quality_toml", "text"]

_WIDTH = 96
_TABLES = ("labels", "fallback", "costs", "trial", "limits")
_ONE_LINE = ("predictions", "class_scores", "attributions")


def configuration_toml(
    d: Deployment,
    comments: Mapping[str, Sequence[str]] | None = None,
    *,
    head: Sequence[str] = (),
    console: Mapping[str, str] | None = None,
) -> str:
    """A whole configuration of one deployment. comments: by field, each a line above it."""
    said = comments or {}
    lines = _comments(head)
    if console:
        lines += ["", "[console]", *(f"{key} = {_value(v)}" for key, v in console.items())]
    lines += ["", "[[deployment]]"]
    given = d.model_dump(mode="json", exclude_defaults=True)
    for name in ("name", "task"):
        lines += [*_comments(said.get(name, ())), f"{name} = {_value(given.pop(name))}"]
    given |= {"id": d.id, "timestamp": d.timestamp}  # also where they have the usual names
    given.pop("quality", None)
    tables = {key: given.pop(key) for key in (*_TABLES, "reference", "features") if key in given}
    for key, value in given.items():
        shown = _source(value) if key == "predictions" else value
        if key == "segments":
            shown = [_segment(s) for s in value]
        lines += [*_comments(said.get(key, ())), f"{key} = {_value(shown)}"]
    lines += _features(tables.pop("features", ()), said.get("features", ()))
    for reference in tables.pop("reference", ()):
        lines += ["", *_comments(said.get("reference", ())), "[[deployment.reference]]"]
        lines += _pairs(reference)
    for key, value in tables.items():
        shown = {**value, "source": _source(value["source"])} if key == "labels" else value
        lines += ["", *_comments(said.get(key, ())), f"[deployment.{key}]", *_pairs(shown)]
    if d.quality is not None:
        lines += ["", *quality_toml(d.quality)]
    return "\n".join(lines).lstrip("\n") + "\n"


def quality_toml(quality: Quality) -> list[str]:
    """The lines of rules, a column's on one."""
    given = quality.model_dump(mode="json", exclude_defaults=True)
    columns = given.pop("columns", {})
    lines = ["[deployment.quality]", *_pairs({k: v for k, v in given.items() if v != {}})]
    if columns:
        rules = {name: _rule(rule) for name, rule in columns.items()}
        lines += ["", "[deployment.quality.columns]", *_pairs(rules)]
    return "\n".join(lines).split("\n")


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Both ends of a range as one key."""
    if "min" not in rule or "max" not in rule:
        return dict(rule)
    rest = {k: v for k, v in rule.items() if k not in ("min", "max")}
    return {"range": [rule["min"], rule["max"]], **rest}


def text(value: str) -> str:
    """A TOML string, whatever is in it; what is no Unicode becomes U+FFFD."""
    out = []
    for char in value:
        if char in ('"', "\\"):
            out.append("\\" + char)
        elif char.isprintable():
            out.append(char)
        elif 0xD800 <= ord(char) <= 0xDFFF:
            out.append("\ufffd")
        else:
            code = ord(char)
            out.append(f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
    return f'"{"".join(out)}"'


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _features(features: Sequence[Mapping[str, str]], comments: Sequence[str]) -> list[str]:
    if not features:
        return []
    by_kind: dict[str, list[str]] = {}
    for f in features:
        by_kind.setdefault(f["kind"], []).append(f["name"])
    if [f["name"] for f in features] == [name for names in by_kind.values() for name in names]:
        lines = [f"{kind} = {_value(names)}" for kind, names in by_kind.items()]
        return ["", *_comments(comments), "[deployment.features]", *lines]
    return ["", *(line for f in features for line in ("[[deployment.features]]", *_pairs(f)))]


def _source(value: Mapping[str, Any]) -> Any:
    """A path alone where nothing else is said."""
    return value["path"] if set(value) == {"path"} and isinstance(value["path"], str) else value


def _segment(value: Mapping[str, Any]) -> Any:
    return value["name"] if set(value) == {"name"} else value


def _comments(lines: Sequence[str]) -> list[str]:
    return [f"# {''.join(c if c.isprintable() else ' ' for c in line)}" for line in lines]


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else text(name)


def _value(value: Any) -> str:  # noqa: PLR0911 - one per kind of value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "nan"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        items = [_value(v) for v in value]
        line = f"[{', '.join(items)}]"
        if len(line) <= _WIDTH:
            return line
        return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return str(value)
