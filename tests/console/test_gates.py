"""Gates: judged by intervals, told by the exit code, never passed nor failed for want of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_rows import SAMPLE
from sample_store import Sample

from console.analysis.estimate import Estimate, State, missing
from console.cli import main
from console.errors import UsageError
from console.gate import Gate, parse_gate
from console.gates import Verdict, judge, verdict_of, verdict_on

JULY = ("--start", "2013-07-01", "--end", "2013-08-01", "--as-of", "2013-08-10")

share = st.floats(0, 1)


@given(st.tuples(share, share, share).map(sorted), share)
def test_a_gate_passes_or_fails_only_with_the_whole_interval(
    ends: list[float], limit: float
) -> None:
    low, value, high = ends
    e = Estimate(value, low, high, 100)
    least, _ = verdict_on(Gate(figure="x", at_least=limit), e)
    most, _ = verdict_on(Gate(figure="x", at_most=limit), e)
    assert (least is Verdict.PASS) == (low >= limit)
    assert (least is Verdict.FAIL) == (high < limit)
    assert (most is Verdict.PASS) == (high <= limit)
    assert (most is Verdict.FAIL) == (low > limit)


@pytest.mark.parametrize(
    "state", [State.NO_LABELS, State.NO_ROWS, State.PROVISIONAL, State.STALE, State.CANNOT_TELL]
)
def test_what_is_not_known_is_not_judged(state: State) -> None:
    gate = Gate(figure="x", at_least=0)
    assert verdict_on(gate, missing(state))[0] is Verdict.CANNOT_TELL
    assert verdict_on(gate, Estimate(0.5, 0.4, 0.6, 9, state))[0] is Verdict.CANNOT_TELL


def test_the_error_of_bins_is_no_reason_to_pass() -> None:
    e = Estimate(0.52, 0.51, 0.53, 9000, bin_error=0.02)
    assert verdict_on(Gate(figure="roc_auc", at_least=0.5), e)[0] is Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("recall >= 0.3", Gate(figure="recall", at_least=0.3)),
        ("psi:a <= b<=.2", Gate(figure="psi:a <= b", at_most=0.2)),
        (" mae<=1e3 ", Gate(figure="mae", at_most=1000)),
    ],
)
def test_a_gate_is_read_as_it_is_written(text: str, gate: Gate) -> None:
    assert parse_gate(text) == gate


@pytest.mark.parametrize(
    "text", ["", "recall", "recall > 0.3", "recall >= much", ">= 1", "x >= .."]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"recall >= 0\.3"):
        parse_gate(text)


def test_one_that_fails_fails_all() -> None:
    assert verdict_of(()) is Verdict.CANNOT_TELL


def test_slices_are_judged_on_the_figures_that_the_panes_show(sample: Sample) -> None:
    end = sample.ask("2013-06-01", "2013-07-01")
    found = judge(Gate(figure="share", at_least=0.05), sample.taker, end)
    shown = {row.version: row.metrics["share"] for row in sample.taker.traffic(end).whole}
    assert {j.where: j.estimate for j in found} == shown


def shown(
    sample: Sample, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, str]]:
    capsys.readouterr()
    code = main(["gate", *sample.options, *words, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    return code, {row["of"]: row["verdict"] for row in document["rows"]}


def test_the_exit_code_says_it(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(sample, capsys, *JULY, "--require", "recall >= 0.3") == (
        1,
        {"v1": "fail", "v2": "pass"},
    )
    assert shown(sample, capsys, *JULY, "--version", "v2", "--require", "recall >= 0.3") == (
        0,
        {"v2": "pass"},
    )
    assert shown(sample, capsys, *JULY, "--version", "v2", "--require", "recall >= 0.65")[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--require", "nope >= 1"], "there is no figure 'nope'"),
        (["--require", "psi:nope <= 1"], "psi:temp"),
        ([], "there is no gate"),
    ],
)
def test_a_gate_about_nothing_is_a_slip(
    sample: Sample, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", *sample.options, *JULY, *words]) == 2
    assert said in capsys.readouterr().err


def test_gates_of_the_configuration(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (SAMPLE / "modelwatch.toml").read_text()
    config = tmp_path / "modelwatch.toml"
    config.write_text(
        written.replace('"predictions/', f'"{SAMPLE}/predictions/')
        + '\n[[gate]]\nname = "late flights are found"\nfigure = "recall"\nat_least = 0.3\n'
        'version = "v2"\n[[gate]]\nfigure = "mae"\nat_most = 1000\ndeployment = "flight-delay"\n'
    )
    words = ["gate", "--config", str(config), "--store", str(sample.path), *JULY]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "late flights are found" in out
    assert "flight-late, flight-delay" in out
