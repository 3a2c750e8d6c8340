"""Records of a server that gives them as JSON, JSON lines or CSV, page by page.

The cursor is a JSON text:

    of           what was asked for; another configuration begins anew
    token, link  which page to ask for: the one behind what is loaded, or the last one once more
    top, kind    by time: the latest value that was loaded, and what sort of value it is
    asked        by time: the value that the pages around `token`, or `etag`, were asked with
    etag, body   what the last page was like, so that it is not loaded again while it stays so
    room         by time: how many records a full page holds, once that is known

A last page is kept by the token that fetched it and asked for again, because it grows. A token that
the server does not know any more begins anew: repeated records are dropped by their ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from collectors.errors import FormatError, SourceError
from collectors.source_settings import FileFormat, HttpSource
from collectors.sources.answers import Body, read_answer
from collectors.sources.pulled import Page, Puller
from collectors.sources.since import Kind, Mark, read_mark
from collectors.sources.web import LARGEST_BODY, Answer, WebClient, WebError
from collectors.text import clean

__all__ = ["HttpPuller", "open_source"]

_MOST_EMPTY = 1000
"""Pages without a record that follow each other, each naming another one."""

_FORGOTTEN = (400, 404, 410)
"""How servers answer a token that they do not know any more."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    of: str
    token: str = ""
    link: str = ""
    top: str = ""
    kind: str = ""
    asked: str = ""
    etag: str = ""
    body: str = ""
    room: int = 0

    @property
    def inside(self) -> bool:
        """Whether it names a page."""
        return bool(self.token or self.link)

    def without_page(self) -> _Cursor:
        """The same time, and nothing about a page."""
        return _Cursor(self.of, top=self.top, kind=self.kind, room=self.room)

    def text(self) -> str:
        """As the store keeps it."""
        return json.dumps({k: v for k, v in asdict(self).items() if v})

    @classmethod
    def read(cls, text: str, of: str) -> _Cursor:
        """A stored cursor; a fresh one when it was for something else."""
        try:
            held = json.loads(text) if text else {}
            room = int(held.pop("room", 0))
            found = cls(**{str(k): str(v) for k, v in held.items()}, room=room)
        except (ValueError, TypeError, AttributeError):
            return cls(of)
        return found if found.of == of else cls(of)


def open_source(source: HttpSource, base: Path) -> HttpPuller:
    """What asks this source. Raises SourceError when a secret is missing or keys do not fit."""
    return HttpPuller(source, base)


class HttpPuller(Puller):
    """Asks one server; for one thread."""

    def __init__(self, source: HttpSource, base: Path) -> None:
        self._source = source
        table = source.format in (FileFormat.CSV, FileFormat.PARQUET)
        if source.next and not source.records:
            raise SourceError("`next` needs `records`: where the list is in a body that holds both")
        if source.records and table:
            raise SourceError("`records` is for JSON; leave it out", "or leave `format` out")
        if source.since_param and source.format is FileFormat.PARQUET:
            raise SourceError("`since_field` needs records of JSON or CSV")
        if source.start and read_mark(source.start, datetime.now(UTC)) is None:
            raise SourceError(f"`start` {source.start!r} is no time or number")
        self._client = WebClient(source, source.url, base)
        self._of = _digest_of(source)

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """What is new, by the cursor of the source. Raises SourceError."""
        cursor = _Cursor.read(known.get(self._source.shown, ""), self._of)
        look = _Look(self._source, self._client, folder, now)
        asked = cursor.asked if cursor.inside else look.first(cursor)
        try:
            yield from look.pages(cursor, asked)
        except WebError as error:
            if error.status not in _FORGOTTEN or not cursor.inside or look.n_pages:
                raise
            again = replace(cursor, token="", link="", etag="", body="")
            yield from look.pages(again, asked)


class _Look:
    """One walk over all pages that there are now."""

    def __init__(self, source: HttpSource, client: WebClient, folder: Path, now: datetime) -> None:
        self._source = source
        self._client = client
        self._folder = folder
        self._now = now
        self._largest = 0
        self._n_empty = 0
        self._milestone = ""
        """A token of an earlier page, ever farther back; to meet it again means a circle."""
        self.n_pages = 0
        """Pages that were answered."""

    def first(self, cursor: _Cursor) -> str:
        """The value to begin with: the stored one less its overlap, else the configured one."""
        top = self._top(cursor)
        return self._source.start if top is None else top.back(self._source.overlap)

    def pages(self, cursor: _Cursor, asked: str) -> Iterator[Page]:
        """Pages by token or link; without those by time, as long as times go on."""
        timed = bool(self._source.since_param)
        position = self._mark(asked, cursor.kind)
        n_before = n_cut = 0
        while True:
            known = cursor if cursor.asked == asked else _Cursor(cursor.of)
            answer = self._ask(cursor, asked, known.etag)
            if answer.unchanged:
                return
            body, link = self._read(answer)
            self.n_pages += 1
            held = cursor.link if link else cursor.token
            goes_on = body.following not in ("", held)
            if known.body == body.digest and not goes_on:
                return
            walked, before = cursor.inside, cursor
            cursor = self._with_top(cursor, body)
            if goes_on:
                self._check_circle(body, held)
                here = ("", body.following) if link else (body.following, "")
                cursor = replace(cursor.without_page(), token=here[0], link=here[1], asked=asked)
                yield self._page(cursor, body)
                continue
            if not timed:
                yield self._page(replace(cursor, etag=answer.etag, body=body.digest), body)
                return
            mark = None if walked else self._latest(cursor, body)
            advanced = mark is not None and (position is None or mark.value > position.value)
            if advanced and n_before:  # so the page before was cut
                room = n_before if n_before == n_cut else cursor.room
                n_cut, cursor = n_before, replace(cursor, room=room)
            n_before, self._largest = body.n, max(self._largest, body.n)
            if walked or cursor.top != before.top:
                cursor = cursor.without_page()
            elif asked == self.first(cursor):  # what will be asked next time, too
                cursor = replace(cursor, asked=asked, etag=answer.etag, body=body.digest)
            if body.n or cursor != before:
                yield self._page(cursor, body)
            self._check_times(cursor, body)
            if mark is None:
                return
            if position is not None and not advanced:
                self._check_room(cursor, position, body)
                return
            position, asked = mark, mark.before()

    # --- asking ------------------------------------------------------------------------------

    def _ask(self, cursor: _Cursor, asked: str, etag: str = "") -> Answer:
        source = self._source
        url = self._linked(cursor.link) if cursor.link else source.url
        params = dict(source.params)
        if asked:
            params[source.since_param] = asked
        if cursor.link:  # which says most of it itself
            there = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
            params = {name: value for name, value in params.items() if name not in there}
        if cursor.token:
            params[source.next_param] = cursor.token
        accept = "text/csv" if source.format is FileFormat.CSV else "application/json"
        path = self._folder / "body"
        accept += ", */*;q=0.5"
        return self._client.fetch(url, path, params, etag=etag, accept=accept, limit=LARGEST_BODY)

    def _read(self, answer: Answer) -> tuple[Body, bool]:
        """A body, and whether what follows is an address."""
        source = self._source
        try:
            body = read_answer(self._folder / "body", answer, source, self._now)
        except FormatError as error:
            what = f"{source.shown} gave an answer that {error.message}"
            raise SourceError(clean(what, 500), error.hint) from None
        link = "" if source.next else answer.next_link
        if source.next and body.following.startswith(("http://", "https://")):
            link = body.following
        elif source.next and not source.next_param and body.following:
            link = urljoin(answer.url, body.following)
        if not link:
            return body, False
        return replace(body, following=self._stored(link)), True

    def _page(self, cursor: _Cursor, body: Body) -> Page:
        return Page(self._source.shown, body.path, cursor.text(), body.format)

    def _linked(self, stored: str) -> str:
        """A stored link as an address, with what the configuration already says."""
        own = _query(self._source.url)
        parts = urlsplit(stored)
        there = dict(_query(stored))
        more = urlencode([(name, value) for name, value in own if name not in there])
        return parts._replace(query="&".join(q for q in (parts.query, more) if q)).geturl()

    def _stored(self, link: str) -> str:
        """A link to keep: without what the configuration says anyway, which may be a key."""
        own = {*_query(self._source.url), *self._source.params.items()}
        asked = _query(link)
        if own.isdisjoint(asked):
            return link
        query = urlencode([pair for pair in asked if pair not in own])
        return urlsplit(link)._replace(query=query).geturl()

    # --- how far -----------------------------------------------------------------------------

    def _mark(self, text: str, kind: str) -> Mark | None:
        mark = read_mark(text, self._now) if text else None
        if mark is not None and kind == "number":
            return Mark("number", mark.text, mark.value)
        return mark

    def _top(self, cursor: _Cursor) -> Mark | None:
        return self._mark(cursor.top, cursor.kind)

    def _latest(self, cursor: _Cursor, body: Body) -> Mark | None:
        """The latest value of a page, of the sort that counts here."""
        if body.farthest is None:
            return None
        return body.farthest.of(self._kind(cursor, body))

    def _kind(self, cursor: _Cursor, body: Body) -> Kind | None:
        mark = self._top(cursor) or self._mark(self._source.start, "")
        if mark is None:
            return None if body.farthest is None else body.farthest.kind()
        return mark.kind

    def _with_top(self, cursor: _Cursor, body: Body) -> _Cursor:
        top, mark = self._top(cursor), self._latest(cursor, body)
        if mark is None or (top is not None and mark.value <= top.value):
            return cursor
        return replace(cursor, top=mark.text, kind=mark.kind)

    # --- what would lose records, or never end -----------------------------------------------

    def _check_circle(self, body: Body, held: str) -> None:
        self._n_empty = 0 if body.n else self._n_empty + 1
        problem = ""
        if body.following == self._milestone:
            problem = "names pages that go round in a circle"
        elif self._n_empty > _MOST_EMPTY:
            problem = f"gave {_MOST_EMPTY} pages without a record, each naming another one"
        if problem:
            hint = "look at `next` and `next_param` in the configuration"
            raise SourceError(f"{self._source.shown} {problem}", hint)
        if self.n_pages & (self.n_pages - 1) == 0:
            self._milestone = held

    def _check_times(self, cursor: _Cursor, body: Body) -> None:
        """Records that say nothing about how far they reach cannot be continued."""
        if body.farthest is None or not body.n:
            return
        if not body.farthest.any(self._kind(cursor, body)):
            what = f"{self._source.shown} gave records without a time or number"
            hint = f"is `since_field` {self._source.since_field!r} right?"
            raise SourceError(f"{what} to go on from", hint)

    def _check_room(self, cursor: _Cursor, position: Mark, body: Body) -> None:
        """A page full of one moment hides the rest of that moment.

        It is full if it has as many records as other full ones, or if there are more behind it.
        """
        mark = self._latest(cursor, body)
        if body.n < 2 or mark is None or mark.value < position.value:
            return
        hidden = body.n == cursor.room
        if not hidden and body.n >= self._largest:
            further, _ = self._read(self._ask(cursor, position.after()))
            mark = self._latest(cursor, further)
            hidden = mark is not None and mark.value > position.value
        if hidden:
            what = (
                f"{self._source.shown} may have more records of {position.text} than a page holds"
            )
            raise SourceError(what, "ask for larger pages by `params`")


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def _digest_of(source: HttpSource) -> str:
    """What a cursor is for. The address's own query may hold a key and is left out."""
    asked = source.model_dump(
        mode="json",
        include={"records", "next", "next_param", "since_param", "since_field", "start", "params"},
    )
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
