"""Aliases of registered models of MLflow: a change of one is a change event.

The registry says where an alias points now, not when it was moved. So each look is compared with
the one before, which the cursor holds. The time of a change is that of the model's last update, if
that came after the last look, else the time of the look that found it. The first look finds no
changes: it learns what there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from collectors.contract import FileFormat
from collectors.errors import SourceError
from collectors.source_settings import MlflowSource
from collectors.sources.pulled import Page, Puller
from collectors.sources.web import WebClient, WebError
from collectors.text import clean

__all__ = ["NOTHING", "MlflowPuller", "open_source"]

NOTHING = "(none)"
"""Where an alias points that is not there."""

_MOST_ALIASES = 1000
_LONGEST = 200
_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"
_CODE = re.compile(r'"error_code"\s*:\s*"(\w+)"')


def open_source(source: MlflowSource, base: Path) -> MlflowPuller:
    """What asks an MLflow server. Raises SourceError when a secret is missing."""
    return MlflowPuller(source, base)


@dataclass(frozen=True, slots=True)
class _Model:
    """A registered model as it was at a look. updated: ms since 1970. aliases: -> version."""

    updated: int
    aliases: Mapping[str, str]


class MlflowPuller(Puller):
    """Asks one MLflow server; for one thread."""

    def __init__(self, source: MlflowSource, base: Path) -> None:
        self._source = source
        self._web = WebClient(source, source.mlflow, base)

    def close(self) -> None:
        """End its connections."""
        self._web.close()

    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """A page for each model that has changed: JSON lines of timestamp, kind, subject, detail.

        Raises SourceError when the server cannot be asked, and at the end for models that it does
        not know.
        """
        place = self._source.shown
        seen = _read(known.get(place, ""))
        wrong: list[str] = []
        for number, name in enumerate(dict.fromkeys(self._source.models)):
            try:
                model = self._model(name)
            except _UnknownModelError:
                wrong.append(clean(name, 100))
                continue
            before = seen.get(name)
            if model == before:
                continue
            seen[name] = model
            path = folder / f"aliases-{number}.jsonl"
            with path.open("w", encoding="ascii") as file:
                if before is not None:
                    for event in _changes(name, before, model, now):
                        file.write(json.dumps(event) + "\n")
            yield Page(place, path, _written(seen), FileFormat.JSONL)
        if wrong:
            raise SourceError(
                f"{self._server} knows no registered model {', '.join(wrong)}",
                "check `models`",
            )

    def _model(self, name: str) -> _Model:
        try:
            body = self._web.json(self._url(), {"name": name})
        except WebError as error:
            code = _CODE.search(error.body)
            if code is not None and code[1] == _UNKNOWN:
                raise _UnknownModelError from None
            raise
        model = _model_of(body)
        if model is None:
            raise SourceError(
                f"{self._server} answered with something that is no registered model",
                "check `mlflow` in the configuration",
            )
        return model

    @property
    def _server(self) -> str:
        return clean(self._source.mlflow.partition("?")[0], 300)

    def _url(self) -> str:
        parts = urlsplit(self._source.mlflow)
        path = f"{parts.path.rstrip('/')}/api/2.0/mlflow/registered-models/get"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class _UnknownModelError(Exception):
    """The registry has no model of that name."""


def _model_of(body: Any) -> _Model | None:
    """What an answer says of a model; None if it is none. A list without entries is left out."""
    found = body.get("registered_model") if isinstance(body, dict) else None
    aliases = found.get("aliases", []) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(aliases, list):
        return None
    if len(aliases) > _MOST_ALIASES:
        return None
    pairs = (_alias(one) for one in aliases)
    return _Model(_whole(found.get("last_updated_timestamp")), dict(p for p in pairs if p[0]))


def _changes(name: str, before: _Model, model: _Model, now: datetime) -> Iterator[dict[str, str]]:
    at = round(now.timestamp() * 1000)
    if before.updated < model.updated <= at:
        at = model.updated
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    for alias in sorted({*before.aliases, *model.aliases}):
        old, new = before.aliases.get(alias, NOTHING), model.aliases.get(alias, NOTHING)
        if old != new:
            yield {
                "timestamp": moment,
                "kind": "alias",
                "subject": f"{_text(name)}@{alias}",  # as in models:/name@alias
                "detail": f"{old} -> {new}",
            }


def _alias(one: Any) -> tuple[str, str]:
    if not isinstance(one, dict):
        return "", ""
    return _text(one.get("alias")), _text(one.get("version"))


def _text(value: Any) -> str:
    text = str(value)[:_LONGEST] if isinstance(value, str | int) else ""
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def _whole(value: Any) -> int:
    """Milliseconds; some servers write them as text."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if 0 <= number < 2**53 else 0


def _read(cursor: str) -> dict[str, _Model]:
    """The models as they were, by name."""
    try:
        found = json.loads(cursor)
    except ValueError:
        return {}
    models = found.items() if isinstance(found, dict) else ()
    return {
        name: _Model(_whole(one.get("updated")), {_text(a): _text(v) for a, v in aliases.items()})
        for name, one in models
        if isinstance(one, dict) and isinstance(aliases := one.get("aliases"), dict)
    }


def _written(models: Mapping[str, _Model]) -> str:
    whole = {name: {"updated": m.updated, "aliases": m.aliases} for name, m in models.items()}
    return json.dumps(whole, separators=(",", ":"))
