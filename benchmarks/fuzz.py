"""Hostile logs by mutation: reading any file ends in rows, in quarantine or in a sentence.

    python -m benchmarks.fuzz [SECONDS] [SEED]

Seeds are the sample in every format. A mutation flips bytes, cuts, doubles and swaps pieces, or
puts awkward values into JSON. Anything raised but a CollectorError ends it, with the file kept.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "collectors"))

from platforms.sample import CATEGORICAL, NUMERIC, Defects, sample_rows
from platforms.transcoders import TRANSCODERS

from collectors.contract import Deployment
from collectors.errors import CollectorError
from collectors.ingest import Ingest
from collectors.profile import profile_log
from collectors.propose import Given, LogSources, propose
from collectors.sources.files import find_files
from collectors.store.database import Database

NOW = datetime(2013, 9, 1, tzinfo=UTC)
AWKWARD: tuple[Any, ...] = (
    None, True, "", "\x1b[2J", "NaN", "1e999", -0.0, 10**400, "9999-12-31T23:59:59Z", [], {},
    "a" * 70_000, [[[[[]]]]], {"a": {"b": {"c": []}}}, "\ud800", "\u0000", ["x"] * 3000,
    "'; DROP x",
    1e308, "Infinity", {"": ""}, {"predictions": 1}, [None], "2013-02-30", "-1", "0x10",
)  # fmt: skip


def seeds(folder: Path) -> list[bytes]:
    """One file of each format, a few rows each."""
    found = []
    for i, coder in enumerate(TRANSCODERS):
        place = folder / str(i)
        place.mkdir()
        written = coder.write(
            sample_rows(12), place, Defects(1, 1, 0, 1, 1, 1, 1, 1), files=1, batch=2
        )
        path = written.contract["predictions"]
        files = find_files([path["path"] if isinstance(path, dict) else path], place)
        found += [p.read_bytes() for p in files]
    found.append(
        b"id,timestamp,version,prediction,origin\n1,2013-06-01T00:00:00Z,v1,0.5,EWR\n"
        b'2,2013-06-01T01:00:00Z,v1,0.7,"J""FK"\n'
    )
    return found


def awkward(value: Any, chance: random.Random) -> Any:
    """A JSON value with something else somewhere in it."""
    if chance.random() < 0.08:
        return chance.choice(AWKWARD)
    if isinstance(value, dict):
        changed = {k: awkward(v, chance) for k, v in value.items() if chance.random() > 0.03}
        if chance.random() < 0.05:
            changed[str(chance.choice(AWKWARD))[:50]] = chance.choice(AWKWARD)
        return changed
    if isinstance(value, list):
        return [awkward(v, chance) for v in value if chance.random() > 0.03]
    if isinstance(value, str) and value[:1] in ("{", "[") and chance.random() < 0.5:
        try:
            return json.dumps(awkward(json.loads(value), chance))
        except ValueError:
            return value
    return value


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Another file made of this one."""
    if chance.random() < 0.6:
        lines = []
        for line in data.split(b"\n"):
            try:
                lines.append(json.dumps(awkward(json.loads(line), chance)).encode())
            except (ValueError, RecursionError):
                lines.append(line)
        data = b"\n".join(lines)
    for _ in range(chance.randrange(4)):
        if not data:
            break
        at, length = chance.randrange(len(data)), chance.choice((1, 2, 8, 100, 5000))
        piece = data[at : at + length]
        match chance.randrange(6):
            case 0:
                data = (
                    data[:at]
                    + bytes(chance.randrange(256) for _ in range(min(length, 9)))
                    + data[at:]
                )
            case 1:
                data = data[:at] + data[at + length :]
            case 2:
                data = data[:at] + piece * chance.choice((2, 3, 50)) + data[at:]
            case 3:
                data = data[:at]
            case 4:
                data = data[:at] + b"[" * chance.choice((3, 400, 5000)) + data[at:]
            case _:
                data = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    return data


def read(path: Path) -> str:
    """Load it as configured and look at it as a stranger would; what became of it."""
    outcome = "loaded"
    d = Deployment.model_validate(
        {
            "name": "m", "task": "binary", "score": "prediction", "timestamp": "timestamp",
            "version": "version", "error": "error", "predictions": str(path),
            "labels": {"source": str(path), "value": "label", "received": "timestamp"},
            "features": {"numeric": list(NUMERIC), "categorical": list(CATEGORICAL)},
            "segments": ["origin"],
        }
    )  # fmt: skip
    with Database(None) as database:
        collected = Ingest(database, [d], path.parent, lambda: NOW).collect()
        if collected.problems:
            outcome = "refused"
    try:
        profile = profile_log([path])
        if profile is not None:
            propose(LogSources("m", (str(path),), profile), Given())
    except CollectorError:
        outcome += ", not looked at"
    return outcome


def main(arguments: list[str]) -> int:
    """Fuzz for so many seconds; 1 when something broke."""
    seconds = float(arguments[0]) if arguments else 60
    seed = int(arguments[1]) if len(arguments) > 1 else int(time.time())
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="modelwatch-fuzz-") as scratch:
        found = seeds(Path(scratch))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name = chance.choice(("a.jsonl", "a.csv", "a.log", "a.json", "a.txt"))
            path = Path(scratch) / name
            path.write_bytes(mutated(chance.choice(found), chance))
            try:
                outcomes[read(path)] += 1
            except CollectorError:
                outcomes["a sentence"] += 1
            except Exception:
                kept = (
                    Path(tempfile.gettempdir())
                    / f"modelwatch-fuzz-{seed}-{sum(outcomes.values())}-{name}"
                )
                kept.write_bytes(path.read_bytes())
                print(f"seed {seed}, after {sum(outcomes.values())} files: kept {kept}")
                raise
    print(f"seed {seed}: {sum(outcomes.values())} files in {seconds:.0f} s: {dict(outcomes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
