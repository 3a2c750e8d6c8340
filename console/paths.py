"""Where configuration and stores lie: the XDG folders, or what the user says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["cache_folder", "config_candidates", "default_store", "state_folder"]


def config_candidates(environment: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Where a configuration is looked for when none is given, in this order."""
    given = environment.get("MODELWATCH_CONFIG")
    if given:
        return (Path(given),)
    home = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return (folder / "modelwatch.toml", Path(home) / "modelwatch" / "modelwatch.toml")


def default_store(environment: Mapping[str, str], config: Path) -> Path:
    """The store of a configuration that names none: one per configuration file."""
    home = environment.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    mark = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()[:8]
    return Path(home) / "modelwatch" / f"{config.resolve().parent.name}-{mark}.duckdb"


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where logs of the program itself go."""
    home = environment.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "modelwatch"


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where what can be made again is kept."""
    home = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "modelwatch"
