"""A flag file: weights in their place, judged by flagd's own evaluator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig_flagd import evaluated

from console.control.errors import PlaneError
from console.control.plane import Answer, Change
from console.control.plane_settings import FlagdPlane
from console.control.planes.flag_file import read_flag, with_buckets
from console.control.planes.flagd import Flagd
from console.control.split import Split

ARMS = ("v1", "v2")

TEXT = """{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "other": {"state": "ENABLED", "variants": {"v1": "a", "v2": "b"}, "defaultVariant": "v1",
      "targeting": {"fractional": [{"var": "user"}, ["v1", 75], ["v2", 25]]}},
    "model": {
      "state": "ENABLED",
      "variants": {
        "v1": "v1", "v2": "v2"
      },
      "defaultVariant": "v1",
      "targeting": {
        "fractional": [
          {"var": "user"},
          ["v1",  75],
          [ "v2" , 25 ]
        ]
      }
    }
  }
}
"""


def plane(folder: Path, text: str = TEXT) -> Flagd:
    (folder / "flags.json").write_text(text)
    return Flagd(FlagdPlane(kind="flagd", file="flags.json", flag="model"), ARMS, folder)


def change(made: Flagd, v1: int, v2: int) -> Change:
    seen = made.read()
    return Change("c-1", seen.split, Split.of({"v1": v1, "v2": v2}), seen.revision)


def edited(**more: Any) -> str:
    """The file with another flag."""
    document = json.loads(TEXT)
    document["flags"]["model"] |= more
    return json.dumps(document)


def test_only_the_digits_of_the_flag_change(tmp_path: Path) -> None:
    made = plane(tmp_path)
    assert made.apply(change(made, 9, 91)).answer is Answer.ACKED
    expected = TEXT.replace('["v1",  75]', '["v1",  9]').replace('[ "v2" , 25 ]', '[ "v2" , 91 ]')
    assert (tmp_path / "flags.json").read_text() == expected


def test_users_stay_where_they_are_as_far_as_the_change_allows(tmp_path: Path) -> None:
    """The order of the buckets stays, so that only the users in between move."""
    made = plane(tmp_path)
    before = [evaluated(TEXT, "model", [user]).popitem()[0] for user in range(300)]
    assert made.apply(change(made, 50, 50)).answer is Answer.ACKED
    text = (tmp_path / "flags.json").read_text()
    after = [evaluated(text, "model", [user]).popitem()[0] for user in range(300)]
    moved = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {("v1", "v2")}


def test_a_bucket_that_is_missing_or_has_no_weight_gets_one(tmp_path: Path) -> None:
    for fractional, split in (
        ([{"var": "user"}, ["v1"]], (1, 0)),
        ([["v2"], ["v1", 3]], (3, 1)),
        ([{"cat": [{"var": "$flagd.flagKey"}, {"var": "user"}]}, ["v1", 75], ["v2", 25]], (75, 25)),
        (["constant", ["v2", 1]], (0, 1)),
    ):
        made = plane(tmp_path, edited(targeting={"fractional": fractional}))
        assert made.read().split == Split.of(zip(ARMS, split, strict=True))
        assert made.apply(change(made, 40, 60)).answer is Answer.ACKED
        assert made.read().split == Split.of({"v1": 40, "v2": 60})
        document = json.loads((tmp_path / "flags.json").read_text())
        assert document["flags"]["other"] == json.loads(TEXT)["flags"]["other"]


def test_a_rule_before_the_division_is_said(tmp_path: Path) -> None:
    inner = {"fractional": [{"var": "user"}, ["v1", 75], ["v2", 25]]}
    rule = {"if": [{"==": [{"var": "staff"}, True]}, "v2", inner]}
    made = plane(tmp_path, edited(targeting=rule))
    assert made.apply(change(made, 100, 0)).answer is Answer.ACKED
    assert "decided before" in made.capabilities.note


def test_an_unknown_variant_would_fail_evaluations(tmp_path: Path) -> None:
    """What flagd does with it, and that we do not write it."""
    text = edited(variants={"v1": "v1"})
    answers = evaluated(text, "model", range(400))
    assert 50 < answers[""] < 150, answers
    made = plane(tmp_path, text)
    assert "its share of the evaluations fails" in made.read().problem
    wanted = change(made, 50, 50)
    assert any("no variant of the flag" in said for said in made.dry_run(wanted))
    assert made.apply(wanted).answer is Answer.REJECTED
    assert (tmp_path / "flags.json").read_text() == text


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "disabled": ({"state": "DISABLED"}, "takes its own default"),
    "all zero": ({"targeting": {"fractional": [["v1", 0], ["v2", 0]]}}, "all weights are 0"),
    "another": ({"targeting": {"fractional": [["v1", 1], ["v9", 1]]}}, "'v9' is no variant"),
    "none": ({"targeting": {}}, "no `fractional`"),
    "null": ({"targeting": None}, "no `fractional`"),
    "two": (
        {"targeting": {"if": [1, {"fractional": [["v1"]]}, {"fractional": [["v2"]]}]}},
        "2 `fractional` rules",
    ),
    "a fraction": ({"targeting": {"fractional": [["v1", 0.5], ["v2", 1]]}}, "not a whole number"),
    "negative": ({"targeting": {"fractional": [["v1", -1], ["v2", 1]]}}, "not a whole number"),
    "true": ({"targeting": {"fractional": [["v1", True], ["v2", 1]]}}, "not a whole number"),
    "a rule": ({"targeting": {"fractional": [["v1", {"var": "w"}], ["v2"]]}}, "whole number"),
    "twice": ({"targeting": {"fractional": [["v1", 1], ["v1", 1]]}}, "two buckets"),
    "no list": ({"targeting": {"fractional": [["v1", 1], "v2"]}}, "not a variant with its weight"),
    "nested": ({"targeting": {"fractional": [["v1", 1], [["v2"], 1]]}}, "not a variant"),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_what_is_wrong_with_a_flag_is_said(tmp_path: Path, what: str) -> None:
    more, said = PROBLEMS[what]
    made = plane(tmp_path, edited(**more))
    try:
        found = made.read().problem
    except PlaneError as error:
        found = str(error)
    assert said in found


@settings(max_examples=60, deadline=None)
@given(
    weights=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    ascii_only=st.booleans(),
    names=st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=2, unique=True),
)
def test_any_name_in_any_layout(
    weights: tuple[int, int], indent: int | None, ascii_only: bool, names: list[str]
) -> None:
    fractional = [{"var": "user"}, *([name, 1] for name in names)]
    flag = {"state": "ENABLED", "variants": dict.fromkeys(names, 1)}
    flags = {
        "a": {**flag, "targeting": {"fractional": fractional}},
        "b": {**flag, "targeting": {"fractional": fractional}},
    }
    text = json.dumps({"flags": flags}, indent=indent, ensure_ascii=ascii_only)
    wanted = dict(zip(names, weights, strict=True))
    new = with_buckets(text, "b", wanted)
    assert dict(read_flag(new, "b").buckets) == wanted
    assert dict(read_flag(new, "a").buckets) == dict.fromkeys(names, 1)
    assert with_buckets(new, "b", dict.fromkeys(names, 1)) == text


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, len(TEXT)),
    gone=st.integers(0, 12),
    instead=st.text('{}[]",:0v12 -.e\\u\ud800\x00', max_size=6),
)
def test_a_damaged_file_is_one_sentence(place: int, gone: int, instead: str) -> None:
    text = TEXT[:place] + instead + TEXT[place + gone :]
    try:
        with_buckets(text, "model", {"v1": 11, "v2": 89})
    except ValueError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"flags": {"model": 1}}',
        "null",
        "",
        "1",
        '{"flags": NaN}',
        "9" * 10_000,
        '{"flags": {"model": {}, "model": {}}}',
        "\x1b[2J",
        "\ud800",
    ],
)
def test_hostile_files_are_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_flag(text, "model")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
