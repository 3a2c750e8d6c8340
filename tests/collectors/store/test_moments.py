"""Written times: each is read as the moment it means, or set apart with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from synthetic import NOW, Logs

from collectors.store.moments import naive_utc, stamp

AT = datetime(2024, 3, 1, 10, 0)
READ = {
    "2024-03-01T10:00:00Z": AT,
    "2024-03-01t10:00:00z": "timestamp not readable",
    "2024-03-01 10:00:00+00": AT,
    "2024-03-01T11:00:00+01:00": AT,
    "2024-03-01T11:00:00+0100": AT,
    "2024-03-01T05:30:00-04:30": AT,
    "2024-03-01 10:00:00 UTC": AT,
    "2024-03-01T10:00Z": AT,
    "2024-03-01T10:00:00.123456789Z": AT.replace(microsecond=123456),
    "2024-03-01T10:00:00": "timestamp without zone",
    "2024-03-01 10:00": "timestamp without zone",
    "2024-03-01": "timestamp without zone",
    "1709287200": AT,
    "1709287200.25": AT.replace(microsecond=250_000),
    "1709287200000": AT,
    "1709287200000000": AT,
    "1709287200000000000": AT,
    1709287200: AT,
    1709287200.25: AT.replace(microsecond=250_000),
    1709287200000: AT,
    "20240301": "timestamp not readable",
    20240301: "timestamp not readable",
    "2024-02-30T00:00:00Z": "timestamp not readable",
    "2024-03-01T10:00:60Z": "timestamp not readable",
    "01/03/2024 10:00": "timestamp not readable",
    "yesterday": "timestamp not readable",
    "\x1b[31m[/bold]'; DROP TABLE x; --": "timestamp not readable",
    "": "no timestamp",
    None: "no timestamp",
    "1969-12-31T23:59:59Z": "timestamp before 1970",
    "0001-01-01T00:00:00Z": "timestamp before 1970",
    "-infinity": "timestamp without zone",
    "infinity": "timestamp without zone",
    0: "timestamp before 1970",
    -1709287200: "timestamp before 1970",
    "9999-12-31T23:59:59Z": "timestamp in the future",
    "99999-01-01T00:00:00Z": "timestamp in the future",
    9e18: "timestamp in the future",
    1e300: "timestamp not readable",
    (NOW + timedelta(minutes=9)).isoformat(): (NOW + timedelta(minutes=9)).replace(tzinfo=None),
    (NOW + timedelta(minutes=11)).isoformat(): "timestamp in the future",
}


def load(logs: Logs, written: list[object]) -> dict[object, object]:
    """What became of each written time: a moment or a reason."""
    records = [{"id": f"{i:03}", "ts": w, "score": 0.5} for i, w in enumerate(written)]
    logs.put("a.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    assert logs.collect() == []
    found: dict[object, object] = {written[int(i)]: ts for i, ts in logs.rows("id, ts")}
    found |= {written[position - 1]: reason for position, reason in logs.bad()}
    return found


def test_written_times_are_read_as_what_they_mean(tmp_path: Path) -> None:
    assert load(Logs(tmp_path), list(READ)) == READ


def test_with_a_configured_zone_a_time_without_one_is_local(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    written = [
        "2023-07-01 12:00:00",
        "2023-12-01",
        "2023-03-26 02:30:00",  # skipped: clocks went from 2 to 3
        "2023-10-29 02:30:00",  # twice: clocks went from 3 to 2
        "2023-07-01T12:00:00Z",
        "1709287200",
    ]
    found = load(Logs(tmp_path, timezone="Europe/Berlin"), written)
    assert found[written[4]] == datetime(2023, 7, 1, 12)
    assert found[written[5]] == AT
    for text, fold in zip(written[:4], (0, 0, 0, 1), strict=True):
        local = datetime.fromisoformat(text).replace(tzinfo=berlin, fold=fold)
        assert found[text] == local.astimezone(UTC).replace(tzinfo=None), text


def test_labels_with_times_that_cannot_be_read_are_set_apart(tmp_path: Path) -> None:
    truth = {"source": {"path": "labels"}, "received": "at", "event": "when"}
    logs = Logs(tmp_path, labels=truth)
    times = ["2024-03-01T10:00:00Z", "2024-03-01T10:00:00", "soon", "9999-01-01T00:00:00Z", ""]
    records = [{"id": "a", "label": 1, "at": t, "when": None} for t in times]
    records.append({"id": "a", "label": 1, "at": times[0], "when": "soon"})
    logs.put("a.jsonl", "".join(json.dumps(r) + "\n" for r in records), "labels")
    logs.collect()
    assert logs.bad() == [
        (2, "timestamp without zone"),
        (3, "timestamp not readable"),
        (4, "timestamp in the future"),
        (6, "timestamp not readable"),
    ]
    assert len(logs.rows("id", "waiting_labels")) == 2


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-5)), ZoneInfo("Asia/Tokyo")])
def test_our_own_times_are_utc_whatever_their_zone(zone: timezone | None) -> None:
    moment = AT if zone is None else AT.replace(tzinfo=UTC).astimezone(zone)
    assert naive_utc(moment) == AT
    assert stamp(moment) == "TIMESTAMP '2024-03-01 10:00:00'"
