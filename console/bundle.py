"""An incident bundle: what the panes asked of a store, and what it answered, in one file.

Everything the console shows comes from named queries (`collectors.reader`). A bundle keeps the
answers of all that were asked for one window as of one moment, so that panes, `show` and `explain`
give the same figures to the last digit where there is no store. What was not asked, it cannot say.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from collectors.contract import Deployment
from collectors.errors import StoreError
from collectors.reader import Param, Reader, nothing_of

__all__ = [
    "Bundle",
    "RecordedReader",
    "RecordingReader",
    "is_bundle",
    "read_bundle",
    "write_bundle",
]

FORMAT = 1
_MANIFEST = "manifest.json"
_LARGEST = 1024**3
_MOST_MEMBERS = 20_000

_DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    RecursionError,
    ValidationError,
    pl.exceptions.PolarsError,
)
"""What reading a file of strangers may raise."""

Key = tuple[str, str, tuple[tuple[str, Param], ...]]
"""A query: its name, the deployment, its parameters in order."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's content. answers: frames by query. texts: reports, snapshots, configuration.

    start, end, as_of: the window, aware UTC. made_by: the release that wrote it. exported: whether
    it was made from an opened log.
    """

    deployment: Deployment
    start: datetime
    end: datetime
    as_of: datetime
    made_at: datetime
    made_by: str
    answers: Mapping[Key, pl.DataFrame]
    texts: Mapping[str, str] = field(default_factory=dict)
    exported: bool = False


class RecordingReader:
    """A reader that remembers what it was asked, and what was answered."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.answers: dict[Key, pl.DataFrame] = {}

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        key = _key(name, deployment, params)
        if key not in self.answers:
            self.answers[key] = self._reader.query(name, deployment, **params)
        return self.answers[key]

    def interrupt(self) -> None:
        """See Reader."""
        self._reader.interrupt()

    def at_once(self) -> Reader:
        """See Reader."""
        return self

    def close(self) -> None:
        """Nothing is held here."""


class RecordedReader:
    """Answers what a bundle holds. Raises StoreError for anything else."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        found = self._bundle.answers.get(_key(name, deployment, params))
        if found is None and not any(known == name for known, *_ in self._bundle.answers):
            found = nothing_of(name)  # an older release did not ask this
        if found is None:
            b = self._bundle
            raise StoreError(
                f"the bundle does not hold this; it is of {b.start:%Y-%m-%d %H:%M} to "
                f"{b.end:%Y-%m-%d %H:%M} UTC, as of {b.as_of:%Y-%m-%d %H:%M}",
                "what else there was is in the store that it was made from",
            )
        return found

    def interrupt(self) -> None:
        """Nothing runs."""

    def at_once(self) -> Reader:
        """See Reader."""
        return self

    def close(self) -> None:
        """Nothing is held."""


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle: a zip file with our manifest as its first member."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") and _MANIFEST.encode() in head


def write_bundle(place: Path, b: Bundle) -> None:
    """Write a bundle at a place."""
    members: dict[str, bytes] = {}
    answers = []
    for (name, deployment, params), frame in b.answers.items():
        out = io.BytesIO()
        frame.write_parquet(out, compression="zstd")
        data = out.getvalue()
        member = f"answers/{hashlib.sha256(data).hexdigest()[:24]}.parquet"
        members[member] = data  # the same answer is kept once
        answers.append([name, deployment, [[k, *_written(v)] for k, v in params], member])
    members |= {name: text.encode("utf-8") for name, text in b.texts.items()}
    manifest = {
        "format": FORMAT,
        "made_by": b.made_by,
        "made_at": b.made_at.isoformat(),
        "start": b.start.isoformat(),
        "end": b.end.isoformat(),
        "as_of": b.as_of.isoformat(),
        "exported": b.exported,
        "deployment": b.deployment.model_dump(mode="json"),
        "answers": answers,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
        for name, data in members.items():
            archive.writestr(name, data)


def read_bundle(path: Path) -> Bundle:
    """A bundle, checked against its own hashes. Raises StoreError for a damaged or a newer one."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [info.file_size for info in archive.infolist()]
            if len(sizes) > _MOST_MEMBERS or sum(sizes) > _LARGEST:
                raise StoreError(f"{path} is too large to be a bundle")
            manifest = json.loads(archive.read(_MANIFEST))
            if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
                raise ValueError("no manifest of a bundle")
            if manifest["format"] > FORMAT:
                raise StoreError(
                    f"{path} was written by a newer modelwatch ({str(manifest['made_by'])[:40]})",
                    "upgrade modelwatch to open it",
                )
            members = {}
            for name, digest in manifest["sha256"].items():
                members[name] = archive.read(name)
                if hashlib.sha256(members[name]).hexdigest() != digest:
                    raise ValueError(f"{name} was changed")
        return _bundle(manifest, members)
    except StoreError:
        raise
    except _DAMAGE as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StoreError(f"{path} is no whole bundle: {first}", "ask for it again") from error


def _bundle(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Bundle:
    frames: dict[str, pl.DataFrame] = {}
    answers: dict[Key, pl.DataFrame] = {}
    for name, deployment, params, member in manifest["answers"]:
        if member not in frames:
            frames[member] = pl.read_parquet(io.BytesIO(members[member]))
        given = tuple((str(k), _read(kind, value)) for k, kind, value in params)
        answers[str(name), str(deployment), given] = frames[member]
    return Bundle(
        deployment=Deployment.model_validate(manifest["deployment"]),
        start=_moment(manifest["start"]),
        end=_moment(manifest["end"]),
        as_of=_moment(manifest["as_of"]),
        made_at=_moment(manifest["made_at"]),
        made_by=str(manifest["made_by"]),
        exported=bool(manifest["exported"]),
        answers=answers,
        texts={
            name: data.decode("utf-8")
            for name, data in members.items()
            if not name.startswith("answers/")
        },
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _key(name: str, deployment: str, params: Mapping[str, Param]) -> Key:
    return name, deployment, tuple(sorted(params.items()))


def _written(value: Param) -> tuple[str, Any]:
    """A parameter as JSON can hold it: its kind and its value."""
    if isinstance(value, datetime):
        return "time", value.isoformat()
    return "plain", value


def _read(kind: str, value: Any) -> Param:
    if kind == "time":
        return datetime.fromisoformat(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)
