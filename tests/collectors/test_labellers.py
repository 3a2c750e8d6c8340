"""Labels of several people about one prediction, from files to figures of their agreement.

Checked against figures made of the same labels in plain Python.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from synthetic import (
    NOW,
    TASKS,
    Logs,
    Row,
    _truth,
    assert_adds_up,
    assert_same,
    chunks,
    deployment,
    opened,
    predictions,
    rollups,
    store_of,
    write,
)

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from console.analysis.agreement import AgreementSnapshot, Known
from console.analysis.ask import RowsAsk
from console.snapshots import Taker
from console.views.agreement import view
from console.windows import make_ask

PEOPLE = ("ann", "bob", "\x1b[31mcee", "it's")
EXAMPLES = int(os.environ.get("ARRIVAL_EXAMPLES", "2"))  # .ci/run asks for more
SOME = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=EXAMPLES < 10,
)

arrivals = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(1, 80),
        "cuts": st.lists(st.integers(1, 200), max_size=3),
        "repeats": st.integers(0, 20),
    }
)


def statements(rows: list[Row], seed: int, task: str) -> list[Row]:
    """What each of some people says of some predictions; now and then they change their mind, say
    the same twice, speak at one moment, or give no name."""
    random_ = random.Random(seed)
    found: list[Row] = []
    for row in rows:
        truth = _truth(random_, task)
        for who in random_.sample([*PEOPLE, ""], random_.randrange(6)):
            for _ in range(random_.choice([1, 1, 2])):
                received = datetime.fromisoformat(row["ts"])
                received += timedelta(minutes=random_.randrange(1, 4))
                value = truth if random_.random() < 0.6 else _truth(random_, task)
                said = {"id": row["id"], "label": value, "received": received.isoformat()}
                found.append({**said, "event": None, "by": who})
    return found


def known(said: list[Row]) -> dict[str, dict[str, Any]]:
    """By prediction and labeller, the latest word: the largest value of one moment."""
    latest: dict[tuple[str, str], tuple[str, Any]] = {}
    for row in said:
        key, now = (row["id"], row["by"]), (row["received"], row["label"])
        latest[key] = max(latest.get(key, now), now)
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for (id_, who), (_, value) in latest.items():
        if who:
            found[id_][who] = value
    return {id_: votes for id_, votes in found.items() if len(votes) > 1}


def snapshot(ingest: Ingest, contract: Deployment, **asked: Any) -> AgreementSnapshot:
    reader = InProcessReader(ingest.database)
    ask = make_ask(contract, NOW, timedelta(days=30), **asked)
    found = Taker(reader, [contract]).agreement(ask)
    reader.close()
    return found


def loaded(base: Path, contract: Deployment, rows: list[Row], said: list[Row]) -> Ingest:
    ingest = opened(contract, base)
    write(rows, base / "predictions" / "all", ".jsonl")
    (base / "labels").mkdir(exist_ok=True)
    if said:
        write(said, base / "labels" / "all", ".jsonl")
    assert not ingest.collect().problems
    assert_adds_up(store_of(ingest))
    return ingest


def figures(s: AgreementSnapshot) -> dict[str, Any]:
    """All numbers of a snapshot, by name."""
    found = {("overall", k): (e.value, e.low, e.high, e.n) for k, e in s.overall.items()}
    for p in s.pairs:
        of = {(p.one, p.other, k): (e.value, e.low, e.high, e.n) for k, e in p.metrics.items()}
        found |= of  # type: ignore[arg-type]
    return found


def same(found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
    assert found.keys() == wanted.keys()
    for key, numbers in wanted.items():
        for a, b in zip(found[key], numbers, strict=True):
            assert (a is None) == (b is None), key
            assert a is None or a == pytest.approx(b, abs=1e-9, rel=1e-9), key


# -- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("seed", [1, 2])
def test_kappas_are_those_of_the_labels(task: str, seed: int, tmp_path: Path) -> None:
    rows = predictions(150, seed, task)
    said = statements(rows, seed, task)
    contract = deployment(task)
    s = snapshot(loaded(tmp_path, contract, rows, said), contract)
    votes = known(said)

    assert s.known is Known.YES
    assert s.n == len(votes)
    assert s.n_disagree == sum(len(set(v.values())) > 1 for v in votes.values())
    assert s.n_queue == s.n_disagree
    pairs = {(p.one, p.other): p for p in s.pairs}
    both = {
        (a, b): [(v[a], v[b]) for v in votes.values() if a in v and b in v]
        for a, b in combinations(sorted(PEOPLE), 2)
    }
    assert set(pairs) == {pair for pair, answers in both.items() if answers}
    for pair, answers in both.items():
        one, other = zip(*answers, strict=True)
        metrics = pairs[pair].metrics
        assert metrics["kappa"].value == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
        agree = sum(x == y for x, y in answers) / len(answers)
        assert metrics["agreement"].value == pytest.approx(agree, abs=1e-12)
    assert s.overall["cohen_kappa"].value == pytest.approx(pooled(both), abs=1e-12)
    assert s.overall["fleiss_kappa"].value == pytest.approx(fleiss(votes), abs=1e-12)
    n_of = Counter(who for (_, who) in {(r["id"], r["by"]) for r in said} if who)
    assert {x.name: x.n for x in s.labellers} == n_of


def pooled(both: Mapping[tuple[str, str], list[tuple[Any, Any]]]) -> float:
    agree = chance = 0.0
    for answers in both.values():
        n = len(answers)
        ones, others = Counter(a for a, _ in answers), Counter(b for _, b in answers)
        agree += sum(a == b for a, b in answers)
        chance += sum(ones[k] * others[k] for k in ones) / n
    total = sum(len(answers) for answers in both.values())
    return (agree / total - chance / total) / (1 - chance / total)


def fleiss(votes: Mapping[str, Mapping[str, Any]]) -> float:
    counts = [Counter(v.values()) for v in votes.values()]
    agree = sum(
        sum(c * (c - 1) for c in each.values()) / (each.total() * (each.total() - 1))
        for each in counts
    ) / len(counts)
    classes = {k for each in counts for k in each}
    shares = [sum(each[k] / each.total() for each in counts) / len(counts) for k in classes]
    chance = sum(share * share for share in shares)
    return (agree - chance) / (1 - chance)


def test_the_interval_of_all_pairs_is_near_the_jackknifes(tmp_path: Path) -> None:
    rows = predictions(300, 5)
    # few are positive, so that agreement by chance differs from prediction to prediction
    rare = {r["id"]: int(i % 3 == 0) for i, r in enumerate(rows)}
    said = [s | {"label": s["label"] * rare[s["id"]]} for s in statements(rows, 5, "binary")]
    s = snapshot(loaded(tmp_path, deployment(), rows, said), deployment())
    votes = known(said)

    def both(without: str) -> dict[tuple[str, str], list[tuple[Any, Any]]]:
        kept = [v for id_, v in votes.items() if id_ != without]
        return {
            (a, b): [(v[a], v[b]) for v in kept if a in v and b in v]
            for a, b in combinations(sorted(PEOPLE), 2)
        }

    for name, left in (
        ("cohen_kappa", [pooled(both(id_)) for id_ in votes]),
        ("fleiss_kappa", [fleiss({k: v for k, v in votes.items() if k != id_}) for id_ in votes]),
    ):
        mean, n = sum(left) / len(left), len(left)
        error = ((n - 1) / n * sum((x - mean) ** 2 for x in left)) ** 0.5
        e = s.overall[name]
        assert e.low is not None
        assert e.high is not None
        assert (e.high - e.low) / 2 == pytest.approx(1.96 * error, rel=0.05)


def test_numbers_have_differences_and_an_intraclass_correlation(tmp_path: Path) -> None:
    rows = predictions(150, 3, "regression")
    said = statements(rows, 3, "regression")
    contract = deployment("regression")
    s = snapshot(loaded(tmp_path, contract, rows, said), contract)
    votes = known(said)
    for p in s.pairs:
        gaps = [v[p.one] - v[p.other] for v in votes.values() if p.one in v and p.other in v]
        assert p.metrics["mean_difference"].value == pytest.approx(sum(gaps) / len(gaps))
        size = sum(map(abs, gaps)) / len(gaps)
        assert p.metrics["mean_abs_difference"].value == pytest.approx(size)
    each = [
        sum(abs(a - b) for a, b in combinations(v.values(), 2)) / (len(v) * (len(v) - 1) / 2)
        for v in votes.values()
    ]
    assert s.overall["mean_abs_difference"].value == pytest.approx(sum(each) / len(each))
    values = [list(v.values()) for v in votes.values()]
    whole = sum(map(sum, values)) / sum(map(len, values))
    within = sum((x - sum(v) / len(v)) ** 2 for v in values for x in v)
    between = sum(len(v) * (sum(v) / len(v) - whole) ** 2 for v in values)
    total, n = sum(map(len, values)), len(values)
    k = (total - sum(len(v) ** 2 for v in values) / total) / (n - 1)
    msb, msw = between / (n - 1), within / (total - n)
    assert s.overall["icc"].value == pytest.approx((msb - msw) / (msb + (k - 1) * msw))
    spreads = [q.spread for q in s.queue]
    assert (
        spreads
        == sorted((max(v) - min(v) for v in values if len(set(v)) > 1), reverse=True)[
            : len(spreads)
        ]
    )


# -- arrival --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@SOME
@given(drawn=arrivals)
def test_any_order_of_arrival_gives_the_same_agreement(task: str, drawn: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        contract = deployment(task)
        rows = predictions(drawn["n"], drawn["seed"], task)
        said = statements(rows, drawn["seed"] + 1, task)
        wanted = snapshot(loaded(base / "clean", contract, rows, said), contract)

        random_ = random.Random(drawn["seed"])
        mixed = [("predictions", r) for r in rows] + [("labels", r) for r in said]
        mixed += random_.choices(mixed, k=drawn["repeats"])
        random_.shuffle(mixed)
        ingest = opened(contract, base / "mixed")
        for kind in ("predictions", "labels"):
            (base / "mixed" / kind).mkdir(parents=True)
        for i, batch in enumerate(chunks(mixed, drawn["cuts"])):  # type: ignore[arg-type]
            for kind in ("predictions", "labels"):
                some = [row for k, row in batch if k == kind]
                if some:
                    write(
                        some, base / "mixed" / kind / f"{i:03}", random_.choice([".csv", ".jsonl"])
                    )
            assert not ingest.collect().problems
        assert_adds_up(store_of(ingest))
        found = snapshot(ingest, contract)
        same(figures(found), figures(wanted))
        assert found.queue == wanted.queue
        assert (found.n, found.n_labelled) == (wanted.n, wanted.n_labelled)


@pytest.mark.parametrize("files", [1, 2])
def test_two_people_who_say_the_same_at_one_moment_have_both_said_it(
    files: int, tmp_path: Path
) -> None:
    rows = predictions(40, 7)
    said = [
        {
            "id": r["id"],
            "label": 1,
            "received": (datetime.fromisoformat(r["ts"]) + timedelta(hours=1)).isoformat(),
            "event": None,
            "by": who,
        }
        for who in ("ann", "bob")
        for r in rows
    ]
    contract = deployment()
    ingest = loaded(tmp_path, contract, rows, said[: len(said) // files])
    if files == 2:
        write(said[len(rows) :], tmp_path / "labels" / "more", ".jsonl")
        assert not ingest.collect().problems
    one_hand = loaded(tmp_path / "one", contract, rows, [r for r in said if r["by"] == "ann"])
    s = snapshot(ingest, contract)
    assert s.n == 40
    assert s.overall["agreement"].value == 1.0
    assert s.overall["cohen_kappa"].value is None  # everybody says the same: chance agrees as much
    assert s.n_disagree == 0
    # the second hand adds a statement, and no second label: performance stays what it was
    outcomes = [
        {k: v for k, v in rollups(store_of(x)).items() if k in store_of(x).rollups.outcome_tables}
        for x in (ingest, one_hand)
    ]
    assert_same(*outcomes)


def test_a_file_without_times_that_is_sent_again_says_nothing_new(tmp_path: Path) -> None:
    logs = Logs(
        tmp_path,
        labels={"source": {"path": "labels"}, "value": "label", "labeller": "by"},
    )
    logs.put("a.csv", "id,ts,score,shop,note\nr1,2024-03-01T10:00:00Z,0.7,x,y\n")
    logs.put("1.csv", "id,label,by\nr1,1,ann\nr1,0,bob\nr1,1,ann\n", "labels")
    logs.collect()
    told = logs.rows("id, value, labeller", "labels")
    assert sorted(told) == [("r1", 0, "bob"), ("r1", 1, "ann")]
    logs.put("2.csv", "id,label,by\nr1,1,ann\nr1,0,bob\n", "labels")
    logs.collect()
    assert logs.rows("id, value, labeller", "labels") == told
    logs.put("3.csv", "id,label,by\nr1,0,ann\n", "labels")  # ann has changed her mind
    logs.collect()
    assert len(logs.rows("id, value, labeller", "labels")) == 3


# -- the queue ------------------------------------------------------------------------------------


def test_disagreements_nearest_to_the_threshold_come_first(tmp_path: Path) -> None:
    rows = predictions(200, 11)
    said = statements(rows, 11, "binary")
    contract = deployment(threshold={"v1": 0.4, "v2": 0.9})
    ingest = loaded(tmp_path, contract, rows, said)
    s = snapshot(ingest, contract)
    by_id = {r["id"]: r for r in rows}
    away = [q.distance for q in s.queue if q.distance is not None]
    assert away == sorted(away)
    for q in s.queue:
        if q.score is not None:
            limit = 0.4 if by_id[q.id]["model"] == "v1" else 0.9
            assert q.distance == pytest.approx(abs(by_id[q.id]["score"] - limit))
    votes = known(said)
    assert {q.id for q in s.queue} == {i for i, v in votes.items() if len(set(v.values())) > 1}
    for q in s.queue:
        assert {x.labeller: x.value for x in q.statements} == votes[q.id]
        latest = max((r["received"], r["label"]) for r in said if r["id"] == q.id)
        assert q.label == latest[1]
    tried = snapshot(ingest, contract, threshold=0.5)
    assert all(
        q.distance == pytest.approx(abs(q.score - 0.5)) for q in tried.queue if q.score is not None
    )
    of_one = snapshot(ingest, contract, version="v2")
    assert {q.version for q in of_one.queue} == {"v2"}
    assert of_one.n == sum(by_id[i]["model"] == "v2" for i in votes)


def test_the_past_knows_only_what_had_been_said(tmp_path: Path) -> None:
    rows = predictions(60, 13)
    noon = datetime(2024, 3, 4, 12, tzinfo=UTC)

    def say(who: str, value: int, at: datetime) -> list[Row]:
        told = {"label": value, "received": at.isoformat(), "event": None, "by": who}
        return [{"id": r["id"], **told} for r in rows]

    said = say("ann", 1, noon) + say("bob", 0, noon) + say("bob", 1, noon + timedelta(hours=3))
    contract = deployment()
    ingest = loaded(tmp_path, contract, rows, said)
    before = snapshot(ingest, contract, as_of=noon + timedelta(hours=1))
    assert (before.n, before.n_disagree) == (60, 60)
    assert before.overall["agreement"].value == 0.0
    assert snapshot(ingest, contract).n_disagree == 0
    nobody = snapshot(ingest, contract, as_of=noon - timedelta(hours=1))
    assert nobody.known is Known.NO_LABELS


def test_labels_that_retention_deleted_are_spoken_of(tmp_path: Path) -> None:
    rows = predictions(40, 29)
    contract = deployment()
    ingest = loaded(tmp_path, contract, rows, statements(rows, 29, "binary"))
    assert snapshot(ingest, contract).since is None
    ingest.database.connection.execute(
        "INSERT INTO retained VALUES "
        "('demo', 'raw', TIMESTAMP '2024-03-02', TIMESTAMP '2024-03-09', 5, '')"
    )
    s = snapshot(ingest, contract)
    assert s.since == datetime(2024, 3, 2, tzinfo=UTC)
    assert "labels before 2024-03-02 were deleted" in view(s).notes[0].text
    later = snapshot(ingest, contract, start=datetime(2024, 3, 3, tzinfo=UTC))
    assert later.since is None


def test_a_crowd_is_compared_by_its_busiest_and_nobody_is_made_up(tmp_path: Path) -> None:
    rows = [r for r in predictions(6, 17) if r["error"] is None]
    said = [
        {"id": r["id"], "label": i % 2, "received": NOW.isoformat(), "event": None, "by": f"w{i}"}
        for r in rows
        for i in range(300)
    ]
    contract = deployment()
    s = snapshot(loaded(tmp_path, contract, rows, said), contract)
    assert s.n_labellers == 300
    assert len(s.labellers) == 200
    assert s.n_compared == 20
    assert len(s.pairs) == 190
    assert {len(q.statements) for q in s.queue} == {20}
    assert {q.n_labellers for q in s.queue} == {300}
    assert s.overall["fleiss_kappa"].n == len(rows)


def test_a_crowd_in_couples_has_fleiss_kappa(tmp_path: Path) -> None:
    rows = [r for r in predictions(60, 31) if r["error"] is None]
    said = [
        {"id": r["id"], "label": (i + j) % 2, "received": NOW.isoformat(), "by": f"{'ab'[j]}{i}"}
        for i, r in enumerate(rows)
        for j in range(2)
    ]
    contract = deployment(labels={"source": {"path": "labels"}, "labeller": "by"})
    s = snapshot(loaded(tmp_path, contract, rows, said), contract)
    assert s.pairs == ()  # the first twenty of them share nothing
    assert s.overall["cohen_kappa"].value is None
    assert s.overall["fleiss_kappa"].value == pytest.approx(-1)
    assert [f.severity.name for f in s.findings] == ["WARNING"]
    assert view(s).table.rows[0].cells[3].text == "cannot tell"


def test_a_queue_is_as_long_as_asked(tmp_path: Path) -> None:
    rows = predictions(100, 19)
    said = statements(rows, 19, "binary")
    contract = deployment()
    ingest = loaded(tmp_path, contract, rows, said)
    reader = InProcessReader(ingest.database)
    ask = make_ask(contract, NOW, timedelta(days=30))
    taker = Taker(reader, [contract])
    few = taker.agreement(replace(ask, rows=RowsAsk(most=3)))
    every = taker.agreement(replace(ask, rows=RowsAsk(most=1000)))
    assert few.queue == every.queue[:3]
    assert few.n_queue == every.n_queue == len(every.queue)
    reader.close()


@pytest.mark.parametrize(
    ("changes", "said", "expected"),
    [
        ({"labels": None}, False, Known.NO_LABELLER),
        ({}, False, Known.NO_LABELS),
        ({}, True, Known.NOT_SHARED),
    ],
)
def test_why_nothing_can_be_told(
    changes: dict[str, Any], said: bool, expected: Known, tmp_path: Path
) -> None:
    rows = predictions(20, 23)
    told = [
        {"id": r["id"], "label": 1, "received": NOW.isoformat(), "event": None, "by": "ann"}
        for r in rows
    ]
    contract = deployment(**changes)
    s = snapshot(loaded(tmp_path, contract, rows, told if said else []), contract)
    assert s.known is expected
    assert s.overall == {}
    assert (s.pairs, s.queue, s.n) == ((), (), 0)
