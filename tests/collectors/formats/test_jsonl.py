"""JSON lines as they come: every line is read or in quarantine by its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import NOW, Logs

from collectors.contract import FileFormat
from collectors.formats.tabular import stage_file
from collectors.ingest import Ingest
from collectors.store.batches import Offset
from collectors.store.database import Cursor, Database, StoreSettings

T = "2024-03-01T10:00:00Z"


def line(name: str, **more: object) -> str:
    return json.dumps({"id": name, "ts": T, "score": 0.5, "shop": "north"} | more) + "\n"


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path, features={"numeric": ["x"], "categorical": ["note"]})


@pytest.fixture(scope="module")
def cursor() -> Iterator[Cursor]:
    with Database(None) as database:
        yield database.connection


def test_nan_and_infinity_tokens_are_numbers(logs: Logs) -> None:
    logs.put("a.jsonl", line("a", x=float("nan")) + line("b", x=float("-inf")) + line("c", x=1.5))
    assert logs.collect() == []
    bins = logs.stored.database.connection.execute(
        f"SELECT bin, sum(n) FROM {logs.stored.layout.table('rollup_feature')} "
        "WHERE feature = 0 GROUP BY bin ORDER BY bin"
    ).fetchall()
    assert bins[0] == (-2, 2)
    assert logs.bad() == []


def test_nan_scores_are_set_apart(logs: Logs) -> None:
    scores = [float("nan"), float("inf"), 1.5, -0.1, "high", True, [0.5], {"p": 1}]
    logs.put("a.jsonl", "".join(line(f"r{i}", score=s) for i, s in enumerate(scores)) + line("z"))
    logs.collect()
    reasons = dict(logs.bad())
    assert set(reasons.values()) == {"score not between 0 and 1"}
    assert set(range(1, 9)) - set(reasons) <= {6}
    assert "z" in logs.ids()


def test_nested_values_and_escapes_are_kept_as_text(logs: Logs) -> None:
    logs.put("a.jsonl", line("a", shop={"city": ["ü"]}, note='tab\t"quote" \u0000 \u001b[31m'))
    assert logs.collect() == []
    ((shop, note),) = logs.rows("s0, f1")
    assert json.loads(shop) == {"city": ["ü"]}
    assert note == 'tab\t"quote" \u0000 \u001b[31m'


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"id": "x", ', "not JSON"),
        ("plain words", "not JSON"),
        (line("x").strip() + line("y").strip(), "not JSON"),
        (line("x").strip() + " trailing", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "without any known key"),
        ('{"id": "lone \\ud800"}', "not Unicode"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_line_that_is_no_object_is_set_apart_alone(logs: Logs, text: str, detail: str) -> None:
    logs.put("a.jsonl", line("a") + text + "\n" + line("b"))
    assert logs.collect() == []
    assert logs.ids() == ["a", "b"]
    ((position, reason, said, content),) = logs.bad("position, reason, detail, content")
    assert (position, reason) == (2, "not readable")
    assert detail in said
    assert content == text[: len(content)] and content


def test_deep_nesting_in_one_record_does_not_cost_the_others(logs: Logs) -> None:
    nested = "[" * 300 + "]" * 300
    deep = line("b").strip()[:-1] + f', "extra": {nested}}}'
    deeper = '{"id": ' + "[" * 100_000 + "]" * 100_000 + "}"
    logs.put("a.jsonl", line("a") + deep + "\n" + deeper + "\n" + line("c"))
    assert logs.collect() == []
    assert logs.ids() == ["a", "b", "c"]
    assert [position for position, _ in logs.bad()] == [3]


def test_blank_lines_are_no_records_and_bad_bytes_keep_their_number(logs: Logs) -> None:
    data = b"\n" + line("a").encode() + b"\r\n  \n" + b'{"id": "\xff"}\n' + line("b").encode()
    logs.put("a.jsonl", data + b"bad\n")
    assert logs.collect() == []
    assert logs.ids() == ["a", "b"]
    assert logs.bad() == [(2, "not UTF-8"), (4, "not readable")]


@pytest.mark.parametrize("begin", ["[\n", '[{"id": 1}', "\ufeff [", '{\n  "id": 1\n}'])
def test_one_json_document_is_refused_with_a_sentence(logs: Logs, begin: str) -> None:
    logs.put("a.json", begin)
    (problem,) = logs.collect()
    assert "write one object a line" in problem


def test_keys_that_first_come_late_are_read_when_the_contract_names_them(tmp_path: Path) -> None:
    logs = Logs(tmp_path, error="error")
    many = "".join(line(f"r{i:04}") for i in range(1500))
    failed = json.dumps({"id": "z", "ts": T, "error": "timeout"}) + "\n"
    logs.put("a.jsonl", many + failed)
    assert logs.collect() == []
    assert logs.rows("id, error")[-1] == ("z", "timeout")
    changes = logs.bad("reason")
    assert changes == []


def test_new_and_missing_keys_are_recorded(logs: Logs) -> None:
    logs.put("a.jsonl", line("a", surprise=1, x="many"))
    logs.collect()
    found = logs.stored.database.connection.execute(
        "SELECT column_name, change, example FROM schema_changes ORDER BY 1"
    ).fetchall()
    assert found == [
        ("note", "missing", ""),
        ("surprise", "new", "VARCHAR"),
        ("x", "mistyped", "many"),
    ]


def test_keys_that_differ_by_case_do_not_hide_the_contract_s(logs: Logs) -> None:
    first = json.dumps({"ID": "wrong", "Score": 9, "id": "a", "ts": T, "score": 0.5})
    second = json.dumps({"position": 7, "id": "b", "ts": T, "score": 0.6})
    logs.put("a.jsonl", first + "\n" + second + "\n")
    assert logs.collect() == []
    assert logs.rows("id, score") == [("a", 0.5), ("b", 0.6)]


def test_while_a_file_grows_its_last_line_waits(logs: Logs) -> None:
    path = logs.put("a.jsonl", line("a") + line("b")[:-10])
    logs.collect(whole=False)
    assert (logs.ids(), logs.bad()) == (["a"], [])
    path.write_text(line("a") + line("b"))
    logs.collect(whole=False)
    assert (logs.ids(), logs.bad()) == (["a", "b"], [])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    data=st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            ['{"a": 1}', '{"a": "\\u0000"}', '{"a": NaN}', "{", "}", "[", '"', "\r", "\n", "1", "é"]
        ),
        max_size=12,
    ).map(lambda parts: "".join(parts).encode()),
    block=st.integers(8, 64),
)
def test_any_bytes_are_read_or_set_apart_each_with_its_number(
    data: bytes, block: int, tmp_path_factory: pytest.TempPathFactory, cursor: Cursor
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_bytes(b'{"a": 0}\n' + data)
    numbers: list[int] = []
    for staged in stage_file(cursor, path, FileFormat.JSONL, Offset(), whole=True, block=block):
        rows = cursor.execute("SELECT position FROM stage").fetchall()
        numbers += [position for (position,) in rows]
        numbers += [reject.position for reject in staged.rejects]
        assert staged.after.records == len(numbers)
    expected = [part for part in data.split(b"\n") if part.strip()]
    assert sorted(numbers) == list(range(1, len(expected) + 2))


def test_a_record_of_ten_thousand_keys_costs_neither_the_others_nor_the_memory(
    tmp_path: Path,
) -> None:
    little = StoreSettings(memory_limit="500MB")
    contract = Logs(tmp_path).stored.deployment
    wide = {"id": "wide", "ts": "2024-03-01T10:00:00Z", "score": 0.5}
    wide |= {f"key {i}": "some text" for i in range(12_000)}
    rows = [{"id": f"r{i}", "ts": "2024-03-01T10:00:00Z", "score": 0.5} for i in range(50)]
    lines = [json.dumps(r) for r in (*rows[:20], wide, *rows[20:])]
    (tmp_path / "predictions" / "a.jsonl").write_text("\n".join(lines) + "\n")
    with Database(tmp_path / "s.duckdb", little) as database:
        ingest = Ingest(database, [contract], tmp_path, lambda: NOW)
        assert not ingest.collect().problems
        (stored,) = ingest.stored.values()
        found = database.connection.execute(
            f"SELECT count(*) FROM {stored.layout.table('predictions')}"
        ).fetchall()
        bad = database.connection.execute("SELECT count(*) FROM quarantine").fetchall()
    assert found[0][0] + bad[0][0] == 51
    assert found[0][0] >= 50
