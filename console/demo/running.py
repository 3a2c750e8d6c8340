"""Which demos run on this host: a small file each, so that another terminal finds them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from console.paths import state_folder

__all__ = ["Running", "announce", "running", "withdraw"]


@dataclass(frozen=True, slots=True)
class Running:
    """One demo. pid: of the process that holds it together. servers: version -> its address."""

    pid: int
    folder: str
    config: str
    store: str
    proxy: str
    servers: Mapping[str, str]

    @classmethod
    def of(cls, document: object) -> Running | None:
        """From a file; None of anything else."""
        if not isinstance(document, dict) or not isinstance(document.get("servers"), dict):
            return None
        try:
            return cls(**document)
        except TypeError:
            return None


def announce(demo: Running, environment: Mapping[str, str]) -> Path:
    """Say that it runs; where that is said. Raises OSError."""
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"demo-{demo.pid}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(demo)) + "\n", encoding="utf-8")
    return path


def withdraw(pid: int, environment: Mapping[str, str] = os.environ) -> None:
    """It runs no more."""
    with suppress(OSError):
        (_folder(environment) / f"demo-{pid}.json").unlink()


def running(environment: Mapping[str, str]) -> tuple[Running, ...]:
    """All demos of this user that run, the newest last; what dead ones left is taken away."""
    found: list[tuple[float, Running]] = []
    for path in _folder(environment).glob("demo-*.json"):
        with suppress(OSError, ValueError, RecursionError):
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            demo = Running.of(document)
            if demo is None or not _alive(demo.pid):
                path.unlink()
                continue
            found.append((path.stat().st_mtime, demo))
    return tuple(demo for _, demo in sorted(found, key=lambda f: f[0]))


def _folder(environment: Mapping[str, str]) -> Path:
    given = environment.get("XDG_RUNTIME_DIR")
    return Path(given) / "modelwatch" if given else state_folder(environment)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
