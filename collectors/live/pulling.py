"""Sources that are asked, each on a thread of its own, so that a slow one holds up no other.

A thread fetches a page, hands it to whoever loads, and goes on once it is in the store. A source
that fails is asked again after a rest that doubles each time, with jitter, so that a fleet of
recorders does not come back all at once.
"""

from __future__ import annotations

import logging
import queue
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.errors import CollectorError, SourceError
from collectors.jobs import Job
from collectors.sources.pulled import Page, Puller, open_puller
from collectors.store.source_states import SourceState

__all__ = ["Pulls", "rest_after"]

_log = logging.getLogger(__name__)

_FIRST_REST_S, _LONGEST_REST_S = 1.0, 300.0
_EVERY_S = 15.0


def rest_after(failures: int, asked: float | None, chance: float) -> float:
    """Seconds to rest after so many failures in a row.

    asked: what the server asked for, which is kept to. chance: 0 to 1, spreads rests over the
    upper half of their length ("equal jitter").
    """
    most = min(_FIRST_REST_S * 2.0 ** min(failures - 1, 20), _LONGEST_REST_S)
    rest = most * (0.5 + 0.5 * chance)
    return rest if asked is None else max(rest, min(asked, 24 * 3600.0))


@dataclass(slots=True)
class _Fetched:
    """A page that waits to be loaded; once done, whether it failed and why."""

    job: Job
    page: Page
    done: threading.Event = field(default_factory=threading.Event)
    failed: bool = False
    problem: str = ""


class Pulls:
    """Asks all given jobs. known: the store's cursors of each, at the start. news: called when
    there is something to load.
    """

    def __init__(
        self,
        jobs: Sequence[tuple[Job, dict[str, str]]],
        base: Path,
        news: Callable[[], object],
    ) -> None:
        self._base, self._news = base, news
        self._stopping = threading.Event()
        self._pages: queue.SimpleQueue[_Fetched] = queue.SimpleQueue()
        self._states: queue.SimpleQueue[SourceState] = queue.SimpleQueue()
        self.problems: dict[tuple[str, str, str], str] = {}
        """What is wrong with each source that fails, until it works again; see `states`."""
        self._threads = [
            threading.Thread(
                target=self._ask, args=(job, dict(known)), name=f"pull {job.key}", daemon=True
            )
            for job, known in jobs
        ]
        for thread in self._threads:
            thread.start()

    def load(self, take: Callable[[Job, Page], object]) -> None:
        """Hand over every page that waits.

        A page that `take` raises a CollectorError for is asked for again later. It is told as the
        source's state.
        """
        for _ in range(self._pages.qsize()):  # what comes meanwhile is for the next pass
            fetched = self._pages.get_nowait()
            try:
                take(fetched.job, fetched.page)
            except CollectorError as error:
                fetched.failed, fetched.problem = True, str(error)
                if not fetched.page.alone:
                    self._states.put(SourceState(fetched.job.key, str(error)))
            except BaseException:
                fetched.failed = True
                raise
            finally:
                fetched.done.set()

    def states(self) -> Iterator[SourceState]:
        """What has become known of sources since the last call."""
        while True:
            try:
                state = self._states.get_nowait()
            except queue.Empty:
                return
            if state.problem:
                self.problems[state.key] = state.problem
            else:
                self.problems.pop(state.key, None)
            yield state

    def stop(self, timeout: float = 5.0) -> None:
        """End the threads; a request that hangs is left to its own time limit."""
        self._stopping.set()
        while True:
            try:
                fetched = self._pages.get_nowait()
            except queue.Empty:
                break
            fetched.failed = True
            fetched.done.set()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _ask(self, job: Job, known: dict[str, str]) -> None:
        failures = 0
        every = job.source.every
        rest = every.total_seconds() if every is not None else _EVERY_S
        refused: dict[str, tuple[str, str]] = {}
        puller: Puller | None = None  # kept while it works: it may remember what it has seen
        while not self._stopping.is_set():
            try:
                puller = puller or open_puller(job.source, self._base)
                self._once(job, puller, known, refused)
                failures, wait = 0, rest
                self._states.put(SourceState(job.key))
            except _NotLoadedError:
                _close(puller)
                puller = None
                failures += 1
                wait = rest_after(failures, None, random.random())  # noqa: S311 - jitter
            except Exception as error:
                if not isinstance(error, CollectorError):
                    _log.exception("asking %s failed", job.source.shown)
                _close(puller)
                puller = None
                failures += 1
                asked = getattr(error, "retry_after", None)
                wait = rest_after(failures, asked, random.random())  # noqa: S311 - jitter
                if getattr(error, "partial", False):
                    wait = rest
                following = datetime.now(UTC) + timedelta(seconds=wait)
                said = str(error) if isinstance(error, CollectorError) else type(error).__name__
                self._states.put(SourceState(job.key, said, following))
            self._news()
            self._stopping.wait(wait)
        _close(puller)

    def _once(
        self, job: Job, puller: Puller, known: dict[str, str], refused: dict[str, tuple[str, str]]
    ) -> None:
        """Everything that a source has now, page by page.

        refused: of places of their own that could not be loaded, cursor and problem. They are left
        alone until they change, and told until then. Raises SourceError for them, once all else
        is loaded.
        """
        skipped = {source: cursor for source, (cursor, _) in refused.items()}
        with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
            for page in puller.pages({**known, **skipped}, Path(folder), datetime.now(UTC)):
                fetched = _Fetched(job, page)
                self._pages.put(fetched)
                self._news()
                while not fetched.done.wait(0.5):
                    if self._stopping.is_set():
                        return
                if fetched.failed and not page.alone:
                    raise _NotLoadedError
                if fetched.failed:
                    refused[page.source] = (page.cursor, fetched.problem)
                else:
                    known[page.source] = page.cursor
                    refused.pop(page.source, None)
                if self._stopping.is_set():
                    return
        if refused:
            first = next(problem for _, problem in refused.values())
            raise SourceError(
                f"{len(refused)} of its files cannot be loaded: {first}", partial=True
            )


def _close(puller: Puller | None) -> None:
    if puller is not None:
        with suppress(Exception):  # it has failed: its connections may be of no use
            puller.close()


class _NotLoadedError(Exception):
    """A page was fetched but the store did not take it."""
