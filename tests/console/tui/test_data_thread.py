"""The data thread: latest wins, nothing overlaps, nothing crashes it. No sleeping, no app."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from fake import FakeBackend, explanation, make_frame

from console.feed import Explain, Frame, Request
from console.tui.data_thread import DataThread, Update

ONE = Request(panes=("overview",))
TWO = Request(panes=("overview",), deployment="eta")
WHY = Explain("overview", "eta", "AUC")
LONG = 10.0


@dataclass
class Scripted(FakeBackend):
    """Says when it is in a call, and waits in `frame` while `gate` is closed."""

    entered: queue.Queue[str] = field(default_factory=queue.Queue)
    release: threading.Semaphore | None = None
    more: bool = False

    def advance(self) -> bool:
        self.entered.put("advance")
        return self.more

    def frame(self, request: Request) -> Frame:
        self.requests.append(request)
        self.entered.put("frame")
        if self.release is not None:
            self.release.acquire(timeout=LONG)
        if self.error:
            raise RuntimeError(self.error)
        return make_frame(request)

    def interrupt(self) -> None:
        super().interrupt()
        if self.release is not None:
            self.release.release()


class Explaining(Scripted):
    """Explains until it is interrupted."""

    stopped = threading.Event()

    def frames(self, request: Request) -> Iterator[Frame]:
        yield make_frame(request)
        if request.explain is not None:
            self.entered.put("explaining")
            assert self.stopped.wait(LONG)
            raise RuntimeError("the query was stopped")

    def interrupt(self) -> None:
        self.interrupted += 1
        self.stopped.set()


Start = Callable[..., tuple[DataThread, "queue.Queue[None]"]]


@pytest.fixture
def start() -> Iterator[Start]:
    threads: list[DataThread] = []

    def begin(
        backend: FakeBackend, request: Request = ONE, refresh_s: float = LONG
    ) -> tuple[DataThread, queue.Queue[None]]:
        told: queue.Queue[None] = queue.Queue()
        thread = DataThread(lambda: backend, request, lambda: told.put(None), refresh_s=refresh_s)
        threads.append(thread)
        thread.start()
        return thread, told

    yield begin
    for thread in threads:
        assert thread.stop(LONG)


def taken(thread: DataThread, told: queue.Queue[None]) -> Update:
    told.get(timeout=LONG)
    update = thread.take()
    assert update is not None
    return update


def test_the_backend_is_made_and_used_on_one_other_thread(start: Start) -> None:
    where: set[str] = set()

    class Here(FakeBackend):
        def frame(self, request: Request) -> Frame:
            where.add(threading.current_thread().name)
            return super().frame(request)

    thread, told = start(Here())
    assert taken(thread, told).request == ONE
    assert where == {"modelwatch-data"}


def test_a_new_request_is_answered_at_once(start: Start) -> None:
    thread, told = start(FakeBackend())
    taken(thread, told)
    thread.set_request(TWO)
    assert taken(thread, told).request == TWO


def test_only_one_notice_until_the_frame_is_taken_and_the_newest_wins(start: Start) -> None:
    backend = Scripted()
    thread, told = start(backend)
    assert backend.entered.get(timeout=LONG) == "frame"
    told.get(timeout=LONG)
    thread.set_request(TWO)
    while backend.entered.get(timeout=LONG) != "frame":
        pass
    thread.set_paused(True)
    while thread._slot is None or thread._slot.request != TWO:
        threading.Event().wait(0.001)
    assert told.empty()
    update = thread.take()
    assert update is not None and update.request == TWO
    assert thread.take() is None


def test_a_changed_request_interrupts_the_running_query(start: Start) -> None:
    backend = Scripted(release=threading.Semaphore(0))
    thread, told = start(backend)
    assert backend.entered.get(timeout=LONG) == "frame"
    thread.set_request(TWO)
    assert backend.interrupted == 1
    backend.release = None
    while True:
        if taken(thread, told).request == TWO:
            break


def test_an_interrupted_query_is_not_a_problem(start: Start) -> None:
    backend = Scripted(release=threading.Semaphore(0), error="INTERRUPT")
    thread, told = start(backend)
    assert backend.entered.get(timeout=LONG) == "frame"
    backend.entered = queue.Queue()
    thread.set_request(TWO)
    assert backend.entered.get(timeout=LONG) == "frame"
    backend.error = ""
    backend.release.release(5)
    assert taken(thread, told).problem == ""


def test_paused_nothing_advances_but_requests_and_refreshes_are_answered(start: Start) -> None:
    backend = Scripted()
    thread, told = start(backend, refresh_s=0.001)
    taken(thread, told)
    thread.set_paused(True)
    thread.set_request(TWO)
    while taken(thread, told).request != TWO:
        pass
    while not backend.entered.empty():
        backend.entered.get()
    thread.refresh()
    assert taken(thread, told).request == TWO
    assert "advance" not in list(backend.entered.queue)


def test_an_error_is_a_sentence_and_the_thread_goes_on(start: Start) -> None:
    backend = FakeBackend(error="store is locked by pid 7\n  File secret.py")
    thread, told = start(backend)
    update = taken(thread, told)
    assert update.frame is None
    assert update.problem == "store is locked by pid 7"
    backend.error = ""
    thread.refresh()
    assert taken(thread, told).frame is not None


def test_a_backend_that_cannot_be_made_is_tried_again() -> None:
    told: queue.Queue[None] = queue.Queue()
    tries: list[int] = []

    def make() -> FakeBackend:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no such file")
        return FakeBackend()

    thread = DataThread(make, ONE, lambda: told.put(None), refresh_s=LONG)
    thread.start()
    assert taken(thread, told).problem == "no such file"
    thread.refresh()
    assert taken(thread, told).frame is not None
    assert thread.stop(LONG)


def test_even_a_panic_of_a_compiled_library_is_a_sentence(start: Start) -> None:
    class Panic(BaseException):
        pass

    class Panics(FakeBackend):
        def frame(self, request: Request) -> Frame:
            raise Panic("\x1b[31mindex out of bounds")

    thread, told = start(Panics())
    problem = taken(thread, told).problem
    assert "index out of bounds" in problem and "\x1b" not in problem


def test_stop_interrupts_and_closes() -> None:
    backend = Scripted(release=threading.Semaphore(0))
    thread = DataThread(lambda: backend, ONE, lambda: None)
    thread.start()
    assert backend.entered.get(timeout=LONG) == "frame"
    assert thread.stop(LONG)
    assert backend.interrupted >= 1
    assert backend.closed


def test_stop_gives_up_on_a_query_that_cannot_be_interrupted() -> None:
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    thread = DataThread(lambda: backend, ONE, lambda: None)
    thread.start()
    while not backend.requests:
        threading.Event().wait(0.001)
    assert not thread.stop(0.05)
    gate.set()
    assert thread.stop(LONG)


def test_what_is_quick_is_published_before_the_explanation_is_there(start: Start) -> None:
    wait = threading.Event()

    class Slow(FakeBackend):
        def frames(self, request: Request) -> Iterator[Frame]:
            yield make_frame(request)
            assert wait.wait(LONG)
            yield replace(make_frame(request), explained=explanation(WHY))

    asked = replace(ONE, explain=WHY)
    thread, told = start(Slow(), asked)
    first = taken(thread, told)
    assert first.frame is not None and first.frame.explained is None
    wait.set()
    second = taken(thread, told)
    assert second.frame is not None and second.frame.explained is not None


def test_an_explanation_nobody_waits_for_is_not_computed_to_its_end(start: Start) -> None:
    backend = Explaining()
    thread, told = start(backend, replace(ONE, explain=WHY))
    taken(thread, told)
    assert backend.entered.get(timeout=LONG) == "explaining"
    thread.set_request(TWO)
    assert taken(thread, told).request == TWO
    assert backend.interrupted == 1


def test_a_moving_threshold_shows_each_place_it_can(start: Start) -> None:
    backend = Scripted(release=threading.Semaphore(0))
    one, two = replace(ONE, threshold=0.51), replace(ONE, threshold=0.52)
    thread, told = start(backend, one)
    assert backend.entered.get(timeout=LONG) == "frame"
    thread.set_request(two)
    assert backend.interrupted == 0
    backend.release.release()  # type: ignore[union-attr]
    assert taken(thread, told).request == one
    assert backend.entered.get(timeout=LONG) == "frame"
    backend.release.release()  # type: ignore[union-attr]
    assert taken(thread, told).request == two
