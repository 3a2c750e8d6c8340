"""Stores of opened logs, kept under what the logs are; the least recently used go first.

A store is built under a name of the process that builds it and renamed when it is whole, so what
is found under a key is never half a store. What a killed process left is removed later.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from console.errors import UsageError
from console.paths import cache_folder

__all__ = ["Kept", "StoreCache", "key_of", "mark_of"]

LARGEST = 5 * 1024**3
"""Bytes of all kept stores together; MODELWATCH_CACHE_BYTES says another limit."""

_SAMPLES, _PIECE = 16, 64 * 1024
_WHOLE = _SAMPLES * _PIECE * 4
_STALE_S = 86_400


@dataclass(frozen=True, slots=True)
class Kept:
    """A store in the cache, and what was noted when it was built."""

    store: Path
    notes: Mapping[str, object]


def mark_of(path: Path) -> str:
    """What a file is, by its content: all of a small one; of a large one its size, its time, and
    pieces from all over it.
    """
    stat = path.stat()
    found = hashlib.blake2b(str(stat.st_size).encode(), digest_size=16)
    with path.open("rb") as file:
        if stat.st_size <= _WHOLE:
            while piece := file.read(1 << 20):
                found.update(piece)
        else:
            found.update(str(stat.st_mtime_ns).encode())
            step = (stat.st_size - _PIECE) // (_SAMPLES - 1)
            for i in range(_SAMPLES):
                file.seek(i * step)
                found.update(file.read(_PIECE))
    return found.hexdigest()


def key_of(parts: Iterable[object]) -> str:
    """One key of everything that a store depends on."""
    written = json.dumps(list(parts), sort_keys=True, default=str)
    return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()


class StoreCache:
    """The folder of kept stores; made when it is used first."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.folder = cache_folder(environment) / "stores"
        try:
            self.largest = int(environment.get("MODELWATCH_CACHE_BYTES", LARGEST))
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except ValueError as error:
            raise UsageError("MODELWATCH_CACHE_BYTES takes a number of bytes") from error
        except OSError as error:
            raise UsageError(
                f"cannot make the cache {self.folder}: {error.strerror or error}; "
                "set XDG_CACHE_HOME to a folder that can be written"
            ) from error
        self._clean()

    def find(self, key: str) -> Kept | None:
        """The store under a key, marked as used now; None when there is none."""
        store = self.folder / f"{key}.duckdb"
        try:
            notes = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            os.utime(store)
        except (OSError, ValueError):
            return None
        return Kept(store, notes)

    def forget(self, key: str) -> None:
        """Remove a store, which is damaged."""
        for end in (".json", ".duckdb", ".duckdb.wal"):
            with suppress(OSError):
                (self.folder / f"{key}{end}").unlink()

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A place to build a store at; removed unless `keep` took it."""
        place = self.folder / f"building-{os.getpid()}-{uuid4().hex[:8]}.duckdb"
        try:
            yield place
        finally:
            for path in (place, place.with_name(place.name + ".wal")):
                with suppress(OSError):
                    path.unlink()

    def keep(self, key: str, built: Path, notes: Mapping[str, object]) -> Kept:
        """Take over a built store, which is closed and whole, and make room for it."""
        store, beside = self.folder / f"{key}.duckdb", self.folder / f"{key}.json"
        written = built.with_suffix(".json")
        written.write_text(json.dumps(notes), encoding="utf-8")
        os.replace(built, store)  # noqa: PTH105 - the notes come last: they say that it is whole
        os.replace(written, beside)  # noqa: PTH105
        self._make_room(store)
        return Kept(store, notes)

    def _make_room(self, but: Path) -> None:
        found = []
        for path in self.folder.glob("*.duckdb"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.largest:
                return
            if path != but and not path.name.startswith("building-"):
                self.forget(path.stem)  # who has it open keeps it until it is closed
                total -= size

    def _clean(self) -> None:
        """Remove what processes left that have ended."""
        for path in self.folder.glob("building-*"):
            owner = path.name.split("-")[1]
            with suppress(OSError):
                old = time.time() - path.stat().st_mtime > _STALE_S
                if old or not owner.isdecimal() or not _lives(int(owner)):
                    path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
