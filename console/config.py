"""modelwatch.toml -> typed settings. Every error names the file, the line and what to do."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from collectors.contract import Deployment
from collectors.durations import Duration
from collectors.live.address import address
from collectors.source_settings import SOURCE_TAGS
from collectors.store.database import StoreSettings
from collectors.store.keeping import RetentionSettings
from console.control.plane_settings import PLANE_KINDS
from console.control.settings import Control
from console.errors import UsageError
from console.gate import Gate
from console.paths import config_candidates, default_store
from console.times import parse_duration

__all__ = ["Config", "find_config", "load_config"]

LARGEST_FILE = 4 * 1024 * 1024

_LEAST_HOURS = timedelta(days=30)
"""The usual volume of an hour is of two weeks before the clock, which may be put back."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetentionSection(_Section):
    """[store.retention]: how long what is kept; what is not named is kept for ever."""

    raw: Duration | None = None
    size: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,3})?\s*[KMGT]i?B$")] | None = None
    hours: Duration | None = None
    days: Duration | None = None
    quarantine: Duration | None = None
    batches: Duration | None = None
    metrics: Duration | None = None

    @field_validator("raw", "hours", "days", "quarantine", "batches", "metrics")
    @classmethod
    def _whole_days(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value % timedelta(days=1):
            raise ValueError("whole days are kept; write it like 90d, 26w or 3y")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.hours or self.days) and not (self.raw or self.size):
            raise ValueError("hours and days are of times without raw rows; give raw or size too")
        if self.hours and self.hours < _LEAST_HOURS:
            raise ValueError("hours are needed for 30 days, to know what usually comes")
        for shorter, longer in (("raw", "hours"), ("raw", "days"), ("hours", "days")):
            a, b = getattr(self, shorter), getattr(self, longer)
            if a and b and a > b:
                raise ValueError(f"{longer} must be at least as long as {shorter}")
        return self

    def settings(self) -> RetentionSettings:
        """The same for the store."""
        return RetentionSettings(
            raw=self.raw,
            size=_bytes(self.size) if self.size else None,
            hours=self.hours,
            days=self.days,
            quarantine=self.quarantine,
            batches=self.batches,
            metrics=self.metrics,
        )


class StoreSection(_Section):
    """[store]: where the store lies and what its engine may use."""

    path: str = ""
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$")] = "1GB"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    temp_directory: str = ""
    retention: RetentionSection = RetentionSection()


class RecorderSection(_Section):
    """[recorder]: what `modelwatch record` does beside collecting.

    listen: where it answers over HTTP, as --listen. token_env: the variable with the token that
    whoever pushes records must show. socket_mode: who may look through it, as of a file.
    least_free: megabytes of the store's disk that are left alone. findings: how often they are
    looked for.
    """

    interval: Duration = timedelta(seconds=1)
    listen: str = ""
    token_env: str = "MODELWATCH_PUSH_TOKEN"  # noqa: S105 - where it is, not what
    socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "600"
    least_free: Annotated[int, Field(ge=0)] = 256
    findings: Duration = timedelta(seconds=30)

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if value:
            address(value)
        return value


class ConsoleSection(_Section):
    """[console]: how the console looks and which clock it follows."""

    clock: Literal["live", "latest"] = "live"
    window: str = "7d"
    refresh: Annotated[float, Field(ge=0.1, le=3600)] = 2.0
    ascii: bool = False
    charset: Literal["braille", "blocks", "ascii"] = "braille"
    keys: dict[str, str] = {}

    @field_validator("window")
    @classmethod
    def _length(cls, value: str) -> str:
        parse_duration(value)
        return value


class Config(_Section):
    """A whole configuration."""

    store: StoreSection = StoreSection()
    console: ConsoleSection = ConsoleSection()
    recorder: RecorderSection = RecorderSection()
    deployment: Annotated[tuple[Deployment, ...], Field(min_length=1)]
    gate: tuple[Gate, ...] = ()
    control: tuple[Control, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for place, d in enumerate(self.deployment):
            if d.name.lower() in seen:
                twice = PydanticCustomError(
                    "twice", "two deployments are called so (case does not count)"
                )
                at = InitErrorDetails(type=twice, loc=("deployment", place, "name"), input=d.name)
                raise ValidationError.from_exception_data("Config", [at])
            seen.add(d.name.lower())
        names = [d.name for d in self.deployment]
        controlled: set[str] = set()
        for place, c in enumerate(self.control):
            of = c.deployment or names[0]
            if of in controlled or of not in names:
                wrong = f"there is no deployment {of!r}" if of not in names else f"{of} has two"
                problem = PydanticCustomError("control", "{wrong}", {"wrong": wrong})
                at = InitErrorDetails(type=problem, loc=("control", place, "deployment"), input=of)
                raise ValidationError.from_exception_data("Config", [at])
            controlled.add(of)
        return self

    @property
    def controls(self) -> dict[str, Control]:
        """Deployment -> where its traffic is split."""
        return {c.deployment or self.deployment[0].name: c for c in self.control}

    def engine(self) -> StoreSettings:
        """Settings of the store's engine."""
        s = self.store
        return StoreSettings(s.memory_limit.replace(" ", ""), s.threads, s.temp_directory)

    def store_path(self, config: Path, environment: Mapping[str, str]) -> Path:
        """Where the store of this configuration lies."""
        if not self.store.path:
            return default_store(environment, config)
        given = Path(self.store.path).expanduser()
        return given if given.is_absolute() else config.parent / given


def _bytes(written: str) -> int:
    """A size as the engine reads it: KB is 1000 bytes, KiB 1024."""
    number, unit = written.rstrip("KMGTiB ").strip(), written[len(written.rstrip("KMGTiB")) :]
    return int(float(number) * (1024 if "i" in unit else 1000) ** (1 + "KMGT".index(unit[0])))


def find_config(given: str | None, environment: Mapping[str, str]) -> Path:
    """The configuration file to use. Raises UsageError with where was looked."""
    candidates = (Path(given),) if given else config_candidates(environment, Path.cwd())
    for path in candidates:
        if path.is_file():
            return path
    looked = " or ".join(str(p) for p in candidates)
    raise UsageError(
        f"there is no configuration at {looked}; give one with --config, "
        "or try the shipped sample with `modelwatch demo`"
    )


def load_config(path: Path) -> Config:
    """Read and check a configuration. Raises UsageError naming every wrong value and its line."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} is too large to be a configuration")
        written = path.read_bytes().decode("utf-8")
        tree = tomllib.loads(written)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}; it must be TOML") from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deep") from error
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # a wrong deployment leaves a list without it, which is no second mistake
        own = [e for e in found if e["type"] != "too_short"] or found
        sentences = [_sentence(path, written, e) for e in own[:20]]
        raise UsageError("\n".join(dict.fromkeys(sentences))) from error


def _sentence(path: Path, written: str, error: Mapping[str, Any]) -> str:
    place = _written_place(error["loc"])
    line = _line_of(written, place)
    name = _dotted(place)
    kind, given = error["type"], error.get("input")
    match kind:
        case "missing":
            what = f"`{name}` is missing; add it"
        case "extra_forbidden":
            what = f"`{name}` is not known here; remove it or check its spelling"
        case "model_type" | "model_attributes_type" | "dict_type":
            what = f"`{name}` must be a table of keys (found {given!r:.60})"
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            shown = f" (found {given!r:.60})" if isinstance(given, str | int | float | bool) else ""
            what = f"`{name}`: {message}{shown}"
    return f"{path}:{line}: {what}"


def _written_place(loc: Sequence[str | int]) -> list[str | int]:
    """Where a value stands in the file: without what pydantic puts between, as a union's choice."""
    found: list[str | int] = []
    for part in loc:
        if isinstance(part, str) and part.startswith("function-"):
            continue
        if found and found[-1] == "plane" and part in PLANE_KINDS:
            continue
        listed = len(found) > 1 and found[-2] == "metrics"
        chosen = bool(found) and (found[-1] in ("predictions", "source") or listed)
        if not (chosen and part in SOURCE_TAGS) or (found and found[-1] == "tag"):
            found.append(part)
        elif chosen:
            found.append("tag")
    return [part for part in found if part != "tag"]


def _dotted(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        elif part not in ("str", "tuple[str, ...]", "float", "dict[str,float]"):
            text += f".{part}" if text else str(part)
    return text or "the file"


def _line_of(written: str, place: Sequence[str | int]) -> int:
    """The line that a value stands on, or the nearest one above it that is found, from 1."""
    header = re.compile(r"^\s*\[(\[)?\s*([^\[\]]+?)\s*\]")
    counts: dict[str, int] = {}
    best, depth = 1, 0
    table = ""
    for number, line in enumerate(written.splitlines(), start=1):
        found = header.match(line)
        key = re.match(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""", line)
        if found:
            table = found.group(2).replace('"', "")
            if found.group(1):
                counts[table] = counts.get(table, -1) + 1
                # the lists inside begin anew
                counts = {t: n for t, n in counts.items() if not t.startswith(f"{table}.")}
        elif not key:
            continue
        path = [*_indexed(table, counts), *([key.group(1)] if key and not found else [])]
        common = sum(
            1 for _ in takewhile(lambda ab: ab[0] == ab[1], zip(path, place, strict=False))
        )
        if common == len(path) and common > depth:
            best, depth = number, common
    return best


def _indexed(table: str, counts: Mapping[str, int]) -> list[str | int]:
    """A table's name as a place: with the number of each list of tables that it is in."""
    out: list[str | int] = []
    dotted = ""
    for part in table.split(".") if table else ():
        dotted = f"{dotted}.{part}" if dotted else part
        out.append(part)
        if dotted in counts:
            out.append(counts[dotted])
    return out
