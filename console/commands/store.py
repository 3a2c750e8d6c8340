"""`modelwatch store`: what the store's file holds; make it small, build it anew, copy it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.contract import Deployment
from collectors.store.catalog import StoredDeployment, stored_contract
from collectors.store.copying import copy_file, vacuum
from collectors.store.database import Database
from collectors.store.info import StoreInfo, store_info
from collectors.store.retention import retain
from collectors.store.sealed import sealed_of
from console.commands.common import (
    configuration,
    free_or_answered,
    kept_until,
    store_path,
)
from console.commands.files import new_file
from console.config import Config
from console.errors import UsageError
from console.messages import say
from console.progress import LoadProgress
from console.show import to_table
from console.views.store import view

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Do what is asked; 0."""
    path, config = configuration(options)
    if options.what is not None and options.action in ("info", "vacuum"):
        raise UsageError(f"store {options.action} takes nothing else, not {options.what!r}")
    match options.action:
        case "info":
            _info(options, path, config)
        case "vacuum":
            _vacuum(options, path, config)
        case "rebuild":
            _rebuild(options, path, config)
        case _:
            _backup(options, path, config)
    return 0


def _info(options: argparse.Namespace, path: Path, config: Config) -> None:
    with free_or_answered(store_path(options, path, config), config) as owner:
        info = store_info(owner) if isinstance(owner, Database) else owner.info()
    if options.format == "json":
        print(json.dumps(_document(info), indent=2))  # noqa: T201 - ASCII only
        return
    width = shutil.get_terminal_size((120, 24)).columns
    say(to_table(view(info), f"store {info.path}", width))


def _document(info: StoreInfo) -> dict[str, Any]:
    """The documented JSON; times in UTC."""
    return {key: _plain(value) for key, value in asdict(info).items()}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case _:
            return value


def _vacuum(options: argparse.Namespace, path: Path, config: Config) -> None:
    store = _there(options, path, config)
    settings = config.store.retention.settings()
    with Database(store, config.engine()) as database:
        if settings:
            stored = {d.name: StoredDeployment(database, d) for d in _deployments(database)}
            now = kept_until(config, database, datetime.now(UTC))
            retain(database, stored, settings, now, most=None, told=_told)
    say(f"copying what is left of {store}", sys.stderr)
    before, after = vacuum(store, config.engine())
    say(f"{store}: {_size(before)} before, {_size(after)} now")


def _rebuild(options: argparse.Namespace, path: Path, config: Config) -> None:
    store = _there(options, path, config)
    progress = LoadProgress()
    with Database(store, config.engine()) as database:
        known = {d.name: d for d in _deployments(database)}
        if options.what is not None and options.what not in known:
            listed = ", ".join(known) or "none"
            raise UsageError(f"the store has no deployment {options.what!r}; there is {listed}")
        for name, d in known.items():
            if options.what not in (None, name):
                continue
            stored = StoredDeployment(database, d)

            def told(what: str, done: int, total: int) -> None:
                progress.step(what, done / total if total else None)

            stored.rebuild(told, everything=True)
            stored.sum_days(told)
            progress.end("")
            sealed = sealed_of(database.connection, name).raw
            kept = (
                f"; hours before {sealed:%Y-%m-%d} have no raw rows and stay as they are"
                if sealed is not None
                else ""
            )
            say(f"{name}: rollups built anew{kept}")


def _backup(options: argparse.Namespace, path: Path, config: Config) -> None:
    if options.what is None:
        raise UsageError("say where: modelwatch store backup FILE")
    target = Path(options.what)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; give a file to write")
    store = _there(options, path, config)
    with new_file(target, replace=options.force) as place:
        place.unlink()  # the engine makes it
        with free_or_answered(store, config) as owner:
            busy = None if isinstance(owner, Database) else owner
            if busy is not None:
                busy.backup(place.resolve())
        if busy is None:
            copy_file(store, config.engine(), place)
        place.chmod(0o600)
    say(f"wrote {target}, {_size(target.stat().st_size)}")


def _there(options: argparse.Namespace, path: Path, config: Config) -> Path:
    """The store's file. Raises UsageError when there is none: opening would make it."""
    store = store_path(options, path, config)
    if not store.is_file():
        raise UsageError(f"there is no store at {store}; `modelwatch record --once` makes it")
    return store


def _deployments(database: Database) -> list[Deployment]:
    """Every deployment as the store has it."""
    rows = database.connection.execute(
        "SELECT contract FROM deployments ORDER BY deployment"
    ).fetchall()
    return [stored_contract(contract) for (contract,) in rows]


def _told(what: str) -> None:
    say(what, sys.stderr)


def _size(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
