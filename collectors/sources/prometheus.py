"""System metrics of a Prometheus server, by its HTTP API.

Each metric has a query and is asked for at whole multiples of the step, each of them once: from
where the cursor stands, else from `back` ago, up to now. A step is asked for when it is a little
old, so that a scrape that began before it has ended. What Prometheus has no value for stays a gap.

A query that fails does not stop the others; its cursor stays, so that nothing of it is missing
once it is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit, urlunsplit

from collectors.contract import FileFormat
from collectors.errors import SourceError
from collectors.source_settings import PrometheusSource
from collectors.sources.prometheus_answers import (
    MOST_VERSIONS,
    Answered,
    NotUnderstoodError,
    error_of,
    samples_of,
    time_of,
)
from collectors.sources.prometheus_queries import queries_of, version_label
from collectors.sources.pulled import Page, Puller
from collectors.sources.web import WebClient, WebError
from collectors.text import clean

__all__ = ["PrometheusPuller", "open_source", "place_of"]

_MOST_STEPS = 10_000
"""Steps of one request; Prometheus refuses more than 11,000."""

_LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer: some 400,000 points, 150 MB once parsed. A larger one is asked in parts."""

_PAGE_SAMPLES = 50_000
_SETTLE_MS = 15_000
"""How old a step must be at most: a scrape has 10 s unless a server is told otherwise."""

_SKEW_MS = 120_000
_AHEAD_MS = 600_000
_TOO_MUCH = ("timeout", "canceled")
_FEW_STEPS = 60
"""So few are not what takes a server longer than `timeout`."""

_REFUSED = frozenset({400, 405, 413, 414, 422})


def open_source(source: PrometheusSource, base: Path) -> PrometheusPuller:
    """What asks a Prometheus server. Raises SourceError: a secret is missing, a part is wrong."""
    return PrometheusPuller(source, base)


def place_of(source: PrometheusSource) -> str:
    """What the store calls the source."""
    return clean(source.shown, 500)


@dataclass(slots=True)
class _Cursor:
    """done: the last step of each metric, in ms since 1970. seen: whether any had a sample."""

    done: dict[str, int] = field(default_factory=dict)
    seen: bool = False

    @classmethod
    def read(cls, text: str, latest: int) -> _Cursor:
        """From what the store has. latest: a later step is of a clock that was wrong."""
        try:
            found = json.loads(text)
        except ValueError:
            return cls()
        if not isinstance(found, dict) or not isinstance(found.get("done"), dict):
            return cls()
        done = {
            m: ms for m, ms in found["done"].items() if isinstance(ms, int) and 0 <= ms <= latest
        }
        return cls(done, found.get("seen") is True)

    def written(self) -> str:
        return json.dumps({"done": self.done, "seen": self.seen}, separators=(",", ":"))


class _QueryError(Exception):
    """A query that the server refuses, or answers with what is no sample; a sentence."""


class _TooMuchError(Exception):
    """An answer that is too large or takes too long; a part of it may not."""


class PrometheusPuller(Puller):
    """Asks one Prometheus server; for one thread."""

    def __init__(self, source: PrometheusSource, base: Path) -> None:
        self._source = source
        self._queries = queries_of(source)
        self._label = version_label(source)
        self._web = WebClient(source, source.prometheus, base)
        self._step = round(source.step.total_seconds() * 1000)
        self.place = place_of(source)

    def close(self) -> None:
        """End its connections."""
        self._web.close()

    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """What is new: JSON lines of timestamp, metric, value and version.

        Raises SourceError when the server cannot be asked, and at the end for queries that failed
        and figures that are not whole; then with the usual time to wait.
        """
        here = round(now.timestamp() * 1000)
        cursor = _Cursor.read(known.get(self.place, ""), here + _AHEAD_MS)
        cursor.done = {m: cursor.done[m] for m in self._queries if m in cursor.done}
        first = here - round(self._source.back.total_seconds() * 1000)
        if not self._due(cursor, first, self._newest(here)):
            return
        there = self._clock()
        newest = self._newest(min(here, there))
        wrong: dict[str, None] = {}
        if abs(there - here) > _SKEW_MS:
            wrong[_skew(there - here)] = None
        page = _Writer(folder)
        try:
            yield from self._collected(cursor, first, newest, page, wrong)
        except WebError as error:
            if page.begun:
                yield page.ended(self.place, cursor)
            raise SourceError(error.message, error.hint, retry_after=error.retry_after) from None
        if page.begun:
            yield page.ended(self.place, cursor)
        if not cursor.seen and not wrong:
            wrong[self._nothing()] = None
        if wrong:
            sentences = list(wrong)
            more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
            raise SourceError(f"{self._server}: {sentences[0]}{more}", partial=True)

    def _collected(
        self,
        cursor: _Cursor,
        first: int,
        newest: int,
        page: _Writer,
        wrong: dict[str, None],
    ) -> Iterator[Page]:
        """Ask every metric for its steps up to `newest`, a stretch of each after the other.

        wrong: where sentences go. Raises WebError.
        """
        failed: set[str] = set()
        most = dict.fromkeys(self._queries, _MOST_STEPS)
        while due := self._due(cursor, first, newest, failed):
            for metric, start in due.items():
                stop = min(newest, start + (most[metric] - 1) * self._step)
                n_steps = (stop - start) // self._step + 1
                try:
                    answer = self._asked(metric, start, stop, n_steps)
                    n = page.write(metric, answer, start, stop)
                except _TooMuchError as error:
                    most[metric] = max(1, n_steps // 4)
                    if n_steps == 1:
                        wrong[self._sentence(metric, str(error))] = None
                        failed.add(metric)
                    continue
                except (_QueryError, NotUnderstoodError) as error:
                    wrong[self._sentence(metric, str(error))] = None
                    failed.add(metric)
                    continue
                cursor.done[metric] = stop
                cursor.seen = cursor.seen or n > 0
                wrong.update(dict.fromkeys(_doubts(metric, answer)))
                if page.n >= _PAGE_SAMPLES:
                    yield page.ended(self.place, cursor)

    # --- when ----------------------------------------------------------------------------------

    def _newest(self, at: int) -> int:
        """The newest step whose scrapes have ended."""
        return (at - min(_SETTLE_MS, self._step)) // self._step * self._step

    def _due(
        self, cursor: _Cursor, first: int, newest: int, failed: set[str] | None = None
    ) -> dict[str, int]:
        """Metric -> the first step to ask for, of those that lack one."""
        starts = {
            m: cursor.done.get(m, first) // self._step * self._step + self._step
            for m in self._queries
            if not failed or m not in failed
        }
        return {m: start for m, start in starts.items() if start <= newest}

    def _clock(self) -> int:
        """The server's time: its newest values repeat for five minutes behind it."""
        try:
            return time_of(self._web.json(self._url("query"), {"query": "time()"}))
        except NotUnderstoodError as error:
            raise SourceError(
                f"{self._server} answered with {error}", "check `prometheus` in the configuration"
            ) from None

    # --- one query -----------------------------------------------------------------------------

    def _asked(self, metric: str, start: int, stop: int, n_steps: int) -> Answered:
        asked = {
            "query": self._queries[metric],
            "start": _seconds(start),
            "end": _seconds(stop),
            "step": _seconds(self._step),
        }
        try:
            body = self._web.json(self._url("query_range"), form=asked, limit=_LARGEST_ANSWER)
        except WebError as error:
            raise self._understood(error, n_steps) from None
        return samples_of(body, self._label)

    def _understood(self, error: WebError, n_steps: int) -> Exception:
        kind, said = error_of(error.body)
        if error.too_much and (error.status is not None or n_steps > _FEW_STEPS):
            return _TooMuchError(error.message)
        if kind in _TOO_MUCH or "too many samples" in said:
            return _TooMuchError(said)
        if error.status in _REFUSED:
            return _QueryError(f"it answers {error.status}: {said or 'without a reason'}")
        return error

    # --- what to say ---------------------------------------------------------------------------

    @property
    def _server(self) -> str:
        return clean(self._source.prometheus.partition("?")[0], 300)

    def _url(self, what: str) -> str:
        parts = urlsplit(self._source.prometheus)
        path = f"{parts.path.rstrip('/')}/api/v1/{what}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def _sentence(self, metric: str, problem: str) -> str:
        own = metric in self._source.queries
        where = "`queries`" if own else "`selector` and `version`"
        query = clean(self._queries[metric], 300)
        return f"cannot use the query of {clean(metric)}: {problem}; check {where}: {query}"

    def _nothing(self) -> str:
        what = f"the preset {self._source.preset}" if self._source.preset else "`queries`"
        at = f" with {clean(self._source.selector, 100)}" if self._source.selector else ""
        return (
            f"no query of {what}{at} has given a sample yet; is it the right preset, does the "
            "selector fit, and is the serving system scraped?"
        )


class _Writer:
    """Samples as JSON lines, one file a page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: TextIO | None = None
        self._number = 0
        self.n = 0

    @property
    def begun(self) -> bool:
        """Whether anything was asked for this page, samples or not."""
        return self._file is not None

    def write(self, metric: str, answer: Answered, start: int, stop: int) -> int:
        """How many samples. Raises NotUnderstoodError, and then none of them is there."""
        if self._file is None:
            self._number += 1
            path = self._folder / f"samples-{self._number}.jsonl"
            self._file = path.open("w", encoding="ascii")
        begin, n = self._file.tell(), 0
        try:
            for ms, version, value in answer.samples(start, stop):
                record = {"timestamp": _stamp(ms), "metric": metric, "value": value}
                self._file.write(json.dumps(record | {"version": version}) + "\n")
                n += 1
        except NotUnderstoodError:
            self._file.seek(begin)
            self._file.truncate()
            raise
        self.n += n
        return n

    def ended(self, source: str, cursor: _Cursor) -> Page:
        """The page of what was written since the last one."""
        assert self._file is not None  # noqa: S101 - only called once begun
        path = Path(self._file.name)
        self._file.close()
        self._file, self.n = None, 0
        return Page(source, path, cursor.written(), FileFormat.JSONL)


def _doubts(metric: str, answer: Answered) -> Iterator[str]:
    if answer.left_out:
        yield (
            f"{clean(metric)} has {MOST_VERSIONS + answer.left_out} versions; only the first "
            f"{MOST_VERSIONS} by name are kept; narrow `selector` or choose another `version`"
        )
    for warning in answer.warnings:
        yield f"it warns about {clean(metric)}, whose figures may not be whole: {warning}"


def _skew(ms: int) -> str:
    length = str(timedelta(seconds=abs(ms) // 1000))
    if ms < 0:
        return f"its clock is {length} behind this machine's; nothing newer is read; set both right"
    return f"its clock is {length} ahead of this machine's; set both right"


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _stamp(ms: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    return moment.isoformat()
