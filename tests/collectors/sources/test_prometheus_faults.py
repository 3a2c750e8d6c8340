"""What servers do that no real one does on demand: whatever it is, it ends in a sentence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_api import Reply, api
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Logs

from collectors.errors import SourceError
from collectors.source_settings import PrometheusSource
from collectors.sources.prometheus import open_source
from collectors.sources.prometheus_answers import (
    Answered,
    NotUnderstoodError,
    error_of,
    samples_of,
    time_of,
)
from collectors.sources.prometheus_queries import filled_in, queries_of
from collectors.store.reasons import Reason

NOW = datetime(2024, 3, 1, 10, 0, 20, tzinfo=UTC)


def ok(kind: str, result: Any, **more: Any) -> Reply:
    return 200, {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def steps(asked: Mapping[str, str]) -> list[float]:
    start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
    return [start + i * step for i in range(round((end - start) / step) + 1)]


def series(asked: Mapping[str, str], version: str = "v1", value: str = "1") -> dict[str, Any]:
    return {"metric": {"version": version}, "values": [[at, value] for at in steps(asked)]}


class Server:
    """Answers range queries by `answer`; `now` is its clock."""

    def __init__(self, answer: Callable[[Mapping[str, str]], Reply] | None = None) -> None:
        self.answer = answer or (lambda asked: ok("matrix", [series(asked)]))
        self.now = NOW
        self.down = False
        self.asked: list[Mapping[str, str]] = []
        self.headers: Mapping[str, str] = {}

    def __call__(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        self.headers = headers
        if self.down:
            return 503, b"Service Unavailable"
        if path.endswith("/api/v1/query"):
            at = self.now.timestamp()
            return ok("scalar", [at, str(at)])
        self.asked.append(asked)
        return self.answer(asked)


class Console(Logs):
    def __init__(self, base: Path, url: str, **more: Any) -> None:
        source = {"queries": {"m": "m"}, "version": "version", **more}
        super().__init__(base, metrics=[{"prometheus": url, **source}])
        self.now = NOW
        self.ingest.clock = lambda: self.now

    def samples(self, columns: str = "epoch_ms(ts), metric, version, value") -> list[Any]:
        sql = f"SELECT {columns} FROM system_metrics ORDER BY ALL"
        return self.ingest.database.connection.execute(sql).fetchall()


def test_a_server_that_starts_is_asked_again(tmp_path: Path) -> None:
    server = Server()
    server.down = True
    with api(server) as url:
        logs = Console(tmp_path, url)
        (problem,) = logs.collect()
        assert problem == (
            f"{url}/api/v1/query answered 503 Service Unavailable; "
            "the server has a problem; it will be asked again later"
        )
        server.down = False
        assert logs.collect() == []
    assert len(logs.samples()) == 720


def test_a_server_that_fails_half_way_keeps_what_came_before(tmp_path: Path) -> None:
    server = Server(
        lambda asked: (503, b"gone") if asked["query"] == "b" else ok("matrix", [series(asked)])
    )
    with api(server) as url:
        logs = Console(tmp_path, url, queries={"a": "a", "b": "b"})
        (problem,) = logs.collect()
        assert "answered 503" in problem
        assert {metric for _, metric, *_ in logs.samples()} == {"a"}
        n_asked = len(server.asked)
        server.answer = lambda asked: ok("matrix", [series(asked)])
        assert logs.collect() == []
        assert [asked["query"] for asked in server.asked[n_asked:]] == ["b"]
    assert len(logs.samples()) == 2 * 720


def test_what_is_no_number_is_no_sample(tmp_path: Path) -> None:
    values = ["NaN", "+Inf", "-Inf", "1e308", "0", "-0.5", "1e150"]

    def answer(asked: Mapping[str, str]) -> Reply:
        points = [[at, v] for at, v in zip(steps(asked), values, strict=False)]
        return ok("matrix", [{"metric": {}, "values": points}])

    with api(Server(answer)) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
    assert logs.samples("value") == [(-0.5,), (0.0,), (1e150,)]
    # nothing is the usual state of a share without requests; infinities are set apart
    assert [reason for (reason,) in logs.bad("reason")] == [Reason.BAD_NUMBER] * 3


def test_warnings_are_said_and_the_figures_kept(tmp_path: Path) -> None:
    warned = ["store \x1b[31mdown", "partial"]
    server = Server(lambda asked: ok("matrix", [series(asked)], warnings=warned, infos=["x"]))
    with api(server) as url:
        logs = Console(tmp_path, url)
        (problem,) = logs.collect()
    assert "warns about m, whose figures may not be whole: store" in problem
    assert "\x1b" not in problem
    assert len(logs.samples()) == 720


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_clock_that_is_wrong_is_said(ahead: int, tmp_path: Path) -> None:
    server = Server()
    server.now = NOW + timedelta(seconds=ahead)
    with api(server) as url:
        logs = Console(tmp_path, url)
        (problem,) = logs.collect()
        newest = max(ms for ms, *_ in logs.samples()) / 1000
        if ahead < 0:  # it repeats its newest values for five minutes: no sample is from there
            assert "its clock is 1:00:00 behind this machine's" in problem
            assert newest == NOW.timestamp() + ahead - 20
        else:
            assert "its clock is 1:00:00 ahead of this machine's" in problem
            assert newest == NOW.timestamp() - 20
        server.now = NOW
        assert logs.collect() == []
    assert len(logs.samples()) == 720


def test_a_cursor_from_the_future_is_not_waited_for(tmp_path: Path) -> None:
    with api(Server()) as url:
        source = PrometheusSource(prometheus=url, queries={"m": "m"})
        later = round((NOW + timedelta(days=3650)).timestamp() * 1000)
        known = {source.shown: json.dumps({"done": {"m": later}, "seen": True})}
        with open_source(source, tmp_path) as puller:
            (page,) = puller.pages(known, tmp_path, NOW)
            assert len(page.path.read_text().splitlines()) == 720


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"done": 3}', '{"done": {"m": "x"}}', "null"])
def test_a_cursor_that_is_none_means_from_the_start(cursor: str, tmp_path: Path) -> None:
    with api(Server()) as url:
        source = PrometheusSource(prometheus=url, queries={"m": "m"})
        with open_source(source, tmp_path) as puller:
            (page,) = puller.pages({source.shown: cursor}, tmp_path, NOW)
            assert len(page.path.read_text().splitlines()) == 720


def test_an_answer_that_takes_too_long_is_asked_in_parts(tmp_path: Path) -> None:
    slow = 503, {"status": "error", "errorType": "timeout", "error": "query timed out"}

    def answer(asked: Mapping[str, str]) -> Reply:
        return slow if len(steps(asked)) > 50 else ok("matrix", [series(asked)])

    with api(Server(answer)) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
        assert len(logs.samples()) == 720
    server = Server(lambda asked: slow if asked["query"] == "m" else ok("matrix", []))
    with api(server) as url:
        never = Console(tmp_path, url, queries={"m": "m", "n": "n"})
        (problem,) = never.collect()
    assert "the query of m: query timed out; check `queries`" in problem
    assert len(server.asked) < 20


def test_no_request_has_more_steps_than_a_server_takes(tmp_path: Path) -> None:
    server = Server(lambda asked: ok("matrix", [{"metric": {}, "values": []}]))
    with api(server) as url:
        logs = Console(tmp_path, url, step="1s", back="1d")
        logs.collect()
    asked = [steps(one) for one in server.asked]
    assert max(map(len, asked)) == 10_000
    everything = [at for one in asked for at in one]
    assert everything == sorted(set(everything))
    assert len(everything) == 86_400 - 1  # the newest second is not over


def test_an_address_may_have_a_path_and_parameters(tmp_path: Path) -> None:
    paths = []
    server = Server()

    def answer(path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        paths.append((path, asked["tenant"]))
        return server(path, asked, headers)

    with api(answer) as url:
        logs = Console(tmp_path, f"{url}/select/0/prometheus/?tenant=s3cret")
        assert logs.collect() == []
    assert set(paths) == {
        ("/select/0/prometheus/api/v1/query", "s3cret"),
        ("/select/0/prometheus/api/v1/query_range", "s3cret"),
    }
    stored = logs.ingest.database.connection.execute("SELECT * FROM source_offset").fetchall()
    assert "s3cret" not in str(stored)


def test_a_source_that_never_gave_a_sample_is_said(tmp_path: Path) -> None:
    server = Server(lambda asked: ok("matrix", []))
    with api(server) as url:
        logs = Console(tmp_path, url, preset="envoy", selector='namespace="prod"', queries={})
        (problem,) = logs.collect()
        assert 'no query of the preset envoy with namespace="prod" has given a sample' in problem
        server.answer = lambda asked: ok(
            "matrix", [{"metric": {}, "values": [[steps(asked)[0], "1"]]}]
        )
        logs.now = server.now = NOW + timedelta(seconds=30)
        assert logs.collect() == []
        server.answer = lambda asked: ok("matrix", [])
        logs.now = server.now = NOW + timedelta(seconds=60)
        assert logs.collect() == []  # scaled to zero, say


BODIES: list[Any] = [
    b"",
    b"OK",
    b"<html>Sign in</html>",
    b"[" * 100_000,
    b'{"status":"success","data":{"resultType":"matrix","result":' + b"9" * 6000 + b"}}",
    b'{"status":"success"}',
    {},
    [],
    3,
    {"status": "success", "data": None},
    {"status": "success", "data": {"resultType": "vector", "result": []}},
    {"status": "success", "data": {"resultType": "matrix", "result": {}}},
    {"status": "success", "data": {"resultType": "matrix", "result": [3]}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}}]}},
    {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": [[1, {}]]}]},
    },
    *(
        {
            "status": "success",
            "data": {"resultType": "matrix", "result": [{"metric": {}, "values": points}]},
        }
        for points in (
            [3],
            [[1]],
            [[None, "1"]],
            [["x", "1"]],
            [[1, None]],
            [[1, {}]],
            [[1e308, "1"]],
            [[math.inf, "1"]],
            [[math.nan, "1"]],
            [[-1, "1"]],
            [[12345, "1"]],
            [[10**400, "1"]],
        )
    ),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
def test_whatever_is_no_answer_is_a_sentence(body: Any, tmp_path: Path) -> None:
    for server in (Server(lambda asked: (200, body)), lambda path, asked, headers: (200, body)):
        with api(server) as url:
            source = PrometheusSource(prometheus=url, queries={"m": "m"})
            with open_source(source, tmp_path) as puller, pytest.raises(SourceError, match=url):
                for page in puller.pages({}, tmp_path, NOW):
                    assert page.path.read_bytes() == b""


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 418, 422, 429, 500, 502, 504])
def test_statuses_are_sentences(status: int, tmp_path: Path) -> None:
    error = {"status": "error", "errorType": "bad_data", "error": "parse \x1b[31m error"}
    with api(Server(lambda asked: (status, error))) as url:
        source = PrometheusSource(prometheus=url, queries={"m": "m"})
        with open_source(source, tmp_path) as puller, pytest.raises(SourceError) as raised:
            list(puller.pages({}, tmp_path, NOW))
    assert url in str(raised.value)
    assert str(status) in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_secrets_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROM_TOKEN", "s3cret-t0ken")
    monkeypatch.setenv("PROM_TENANT", "t3nant-secret")

    def answer(asked: Mapping[str, str]) -> Reply:
        echoed = f"denied for {server.headers}"
        return 422, {"status": "error", "errorType": "bad_data", "error": echoed}

    server = Server(answer)
    with api(server) as url:
        more = {"token_env": "PROM_TOKEN", "headers": {"X-Scope-OrgID": "PROM_TENANT"}}
        logs = Console(tmp_path, url, **more)
        (problem,) = logs.collect()
        assert server.headers["authorization"] == "Bearer s3cret-t0ken"
        assert server.headers["x-scope-orgid"] == "t3nant-secret"
        assert "denied" in problem
        source = logs.stored.deployment.metrics[0]
        assert isinstance(source, PrometheusSource)
        with open_source(source, tmp_path) as puller:
            shown = problem + repr(puller) + repr(source) + repr(vars(puller).keys())
    cursor = logs.ingest.database.connection
    tables = cursor.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    for schema, table in tables:
        shown += repr(cursor.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())
    assert "s3cret-t0ken" not in shown
    assert "t3nant-secret" not in shown


# --- queries ---------------------------------------------------------------------------------


def test_places_are_filled_in_once() -> None:
    query = 'sum$only (rate(a{b="c",$selector}[$rate])) by le$by $version $other $1 $$rate'
    found = filled_in(query, selector='x="$rate$version"', rate="120s", label="v")
    assert found == (
        'sum by (v) (rate(a{b="c",x="$rate$version"}[120s])) by le, v v $other $1 $120s'
    )
    without = filled_in("a{$selector , b} c{$selector}$only$by", selector="", rate="1s", label="")
    assert without == "a{ b} c{}"


@pytest.mark.parametrize(
    "selector",
    [
        'a="b"} or up{',
        '{a="b"}',
        'a="b',
        "a=b",
        'a="b" c="d"',
        'a="b",,c="d"',
        ',a="b"',
        'a="b"\n,"',
        'a=="b"',
        "x" * 5000,
        'a="' + "\\" * 3000,
    ],
)
def test_a_selector_that_is_none_is_refused(selector: str, tmp_path: Path) -> None:
    source = PrometheusSource(prometheus="http://127.0.0.1:1", preset="envoy", selector=selector)
    with pytest.raises(SourceError, match="`selector`"):
        open_source(source, tmp_path)


@pytest.mark.parametrize(
    "selector",
    ["", " ", 'a="b"', 'a=~"b{2}|}",', "a!='x\\'y' , b!~`z\"`", 'a="\\"",b="\\\\"'],
)
def test_matchers_are_a_selector(selector: str) -> None:
    source = PrometheusSource(prometheus="http://127.0.0.1:1", preset="envoy", selector=selector)
    for query in queries_of(source).values():
        assert "$" not in query
        assert not re.search(r"\{\s*,|,\s*,", query)


@pytest.mark.parametrize("version", ["a b", "a)", "1a", "a-b", "ä"])
def test_a_version_that_is_no_label_is_refused(version: str, tmp_path: Path) -> None:
    source = PrometheusSource(prometheus="http://127.0.0.1:1", preset="envoy", version=version)
    with pytest.raises(SourceError, match="`version` must be the name of a label"):
        open_source(source, tmp_path)


# --- answers ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "data", "resultType", "result", "metric", "values"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_an_answer_or_none(body: Any) -> None:
    wrapped = {"status": "success", "data": {"resultType": "matrix", "result": body}}
    points = {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "values": body}]},
    }
    for one in (body, wrapped, points):
        with suppress(NotUnderstoodError):
            answer = samples_of(one, "version")
            assert isinstance(answer, Answered)
            for ms, version, value in answer.samples(0, 10**15):
                assert isinstance(ms, int)
                version.encode()
                assert value in ("+Inf", "-Inf") or math.isfinite(float(value))
        with suppress(NotUnderstoodError):
            assert 0 <= time_of(one) < 10**15


@given(st.text())
def test_any_text_is_an_error_without_escapes(body: str) -> None:
    kind, said = error_of(body)
    assert all(ch.isprintable() for ch in kind + said)
