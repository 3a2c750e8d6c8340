"""A flag file of flagd, evaluated by the provider that flagd's own project publishes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest
from rig import Rig

from console.control.plane_settings import FlagdPlane
from console.control.planes.flagd import Flagd


class FlagdRig(Rig):
    """A file, and an evaluator for many users."""

    kind = "flagd"
    serves = True

    def start(self) -> None:
        self.file = self.folder / "flags.json"
        self._users = itertools.count()

    def _write(self, weights: Mapping[str, int]) -> None:
        targeting = {"fractional": [{"var": "user"}, *([a, w] for a, w in weights.items())]}
        flag = {
            "state": "ENABLED",
            "variants": {arm: arm for arm in self.arms},
            "defaultVariant": self.arms[0],
            "targeting": targeting,
        }
        beside = self.folder / "flags.new"
        beside.write_text(json.dumps({"flags": {"model": flag}}, indent=2))
        beside.replace(self.file)

    def reset(self) -> None:
        self._write(self.initial)

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> Flagd:
        settings = FlagdPlane(
            kind="flagd", file="flags.json", flag="model", timeout=timedelta(seconds=timeout)
        )
        return Flagd(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        flag = json.loads(self.file.read_text())["flags"]["model"]
        return (dict(flag["targeting"]["fractional"][1:]),)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        self._write(weights)

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        return evaluated(self.file.read_text(), "model", (next(self._users) for _ in range(n)))


def evaluated(text: str, flag: str, users: Iterable[object]) -> Counter[str]:
    """What users get of a flag, "" where its evaluation fails."""
    core = pytest.importorskip(
        "openfeature.contrib.tools.flagd.core", reason="openfeature-provider-flagd is not installed"
    )
    context = pytest.importorskip("openfeature.evaluation_context").EvaluationContext
    failed = pytest.importorskip("openfeature.exception").OpenFeatureError
    evaluator = core.FlagdCore()
    evaluator.set_flags(text)
    answers = Counter[str]()
    for user in users:
        try:
            asked = context(str(user), {"user": str(user)})
            found = evaluator.resolve_string_value(flag, "default", asked).value
            answers[found if found != "default" else ""] += 1
        except failed:
            answers[""] += 1
    return answers
