"""Weights in a JSON document behind an address: read with its ETag, changed only where it matches.

Where the server gives no ETag (or a weak one, which matches nothing), a change in between is
noticed by reading once more before writing, and cannot be prevented.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Observed,
    Receipt,
    Replica,
)
from console.control.plane_settings import HttpPlane
from console.control.planes.arms import shown, wrong_weights
from console.control.planes.documents import (
    pointed,
    strict_json,
    tokens,
    with_value,
    written_json,
)
from console.control.planes.web import Reply, Web, WebPlaneError, parsed, whole
from console.control.split import Split

__all__ = ["HttpJson"]

_TYPES = {
    "document": "application/json",
    "merge": "application/merge-patch+json",
    "json-patch": "application/json-patch+json",
}
_NOT_DONE = frozenset((500, 501, 505))
"""Failures of the server itself, not of one in between: when the document is as before, it is
because the change was not made."""


@dataclass(frozen=True, slots=True)
class _Document:
    """As it was read. etag: to be sent with a change; "" where none can be."""

    content: Any
    revision: str
    etag: str


class HttpJson(ControlPlane):
    """One document on one server."""

    def __init__(self, settings: HttpPlane, arms: tuple[str, ...], base: Path) -> None:
        parts = urlsplit(settings.url)
        server = f"{parts.scheme}://{parts.netloc}"
        self.arms = arms
        self.name = shown("HTTP", (clean(server + parts.path, 200),))
        self._settings = settings
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._weights = tokens(settings.weights)
        self._revision = tokens(settings.revision)
        self._web = Web.of(settings, server, base)
        self._has_etag: bool | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; compare-and-swap as soon as an ETag was seen."""
        note = ""
        if self._has_etag is False and not self._tests_values:
            note = "it gives no strong ETag: a change by others is noticed, not prevented"
        return Capabilities(
            total=self._settings.total,
            compare_and_swap=bool(self._has_etag) or self._tests_values,
            dry_run=False,
            atomic=True,
            persistent=self._settings.persistent,
            counts=False,
            carries_id=bool(self._revision),
            note=note,
        )

    def read(self) -> Observed:
        """The weights as the document has them. Raises PlaneError."""
        at = datetime.now(UTC)
        document = self._get()
        try:
            split, problem = self._split(document.content)
        except ValueError as error:
            what = f"{self._web.where}: {error}; `weights` and `arms` must fit the document"
            raise PlaneError(what) from None
        replica = Replica(self._web.where, split, self._change_id(document.content))
        return Observed(at, (replica,), document.revision, problem=problem)

    def dry_run(self, change: Change) -> Iterator[str]:
        """What is wrong with the weights, and with the document as it is. Raises PlaneError."""
        problems = tuple(wrong_weights(change.after, self.arms, self._settings.total))
        if problems:
            yield from problems
            return
        document = self._get()
        if change.base and document.revision != change.base:
            yield f"{self._web.where} has changed since this was planned"
        try:
            self._body(document, change)
        except ValueError as error:
            yield str(error)

    def apply(self, change: Change) -> Receipt:
        """One request, that the server refuses when the document has changed meanwhile."""
        answer, detail = self._applied(change)
        return Receipt.one(self._web.where, answer, detail)

    def counts(self) -> Counts | None:
        """It does not count."""
        return None

    def close(self) -> None:
        """End its connections."""
        self._web.close()

    # --- reading -----------------------------------------------------------------------------

    def _get(self) -> _Document:
        reply = self._web.ask("GET", self._path, headers={"accept": "application/json"})
        if not reply.ok:
            raise WebPlaneError(f"{reply.problem}; is `url` right?", sent=True)
        try:
            # only what is written back whole must be such that it can be
            is_whole = self._settings.body == "document"
            content = strict_json(reply.body) if is_whole else parsed(reply.body)
        except ValueError as error:
            what = f"{self._web.where} answered with {error}"
            raise WebPlaneError(what, sent=True) from None
        etag = "" if reply.etag.startswith("W/") else reply.etag
        self._has_etag = bool(etag)
        digest = hashlib.sha256(reply.body).hexdigest()[:32]
        return _Document(content, etag or f"sha256:{digest}", etag)

    def _held(self, content: Any) -> Any:
        try:
            return pointed(content, self._weights)
        except LookupError:
            raise ValueError(f"there is nothing at {self._settings.weights!r}") from None

    def _split(self, content: Any) -> tuple[Split, str]:
        """All weights that are there, and what is odd about them. Raises ValueError."""
        held = self._held(content)
        if isinstance(held, list):
            if len(held) > len(self.arms):
                raise ValueError(f"there are {len(held)} weights for {len(self.arms)} arms")
            n, held = len(held), dict(zip(self.arms, held, strict=False))
            problem = f"there are {n} weights for {len(self.arms)} arms, so the last are taken as 0"
        elif isinstance(held, dict):
            missing = [arm for arm in self.arms if arm not in held]
            problem = f"there is no weight for {', '.join(missing)}"
        else:
            raise ValueError(f"{self._settings.weights!r} is neither an object nor a list")
        others = {arm: _weight(arm, held[arm]) for arm in held if arm not in self.arms}
        split = Split.of(
            {arm: _weight(arm, held.get(arm, 0)) for arm in self.arms}
            | {clean(arm, 60): weight for arm, weight in others.items()}
        )
        if all(arm in held for arm in self.arms):
            problem = "all weights are 0" if split.total == 0 else ""
        more = f"it also has {clean(', '.join(others), 200)}; list it in `arms`" if others else ""
        return split, "; ".join(text for text in (problem, more) if text)

    def _change_id(self, content: Any) -> str:
        if not self._revision:
            return ""
        try:
            found = pointed(content, self._revision)
        except LookupError:
            return ""
        return clean(found, 100) if isinstance(found, str) else ""

    # --- writing -----------------------------------------------------------------------------

    @property
    def _tests_values(self) -> bool:
        return self._settings.body == "json-patch"

    @property
    def _method(self) -> str:
        return self._settings.method or ("PUT" if self._settings.body == "document" else "PATCH")

    def _applied(self, change: Change) -> tuple[Answer, str]:
        problem = next(wrong_weights(change.after, self.arms, self._settings.total), "")
        if problem:
            return Answer.REJECTED, problem
        try:
            document = self._get()
            if change.base and document.revision != change.base:
                return Answer.CONFLICT, "it has changed since this was planned"
            body = self._body(document, change)
        except (PlaneError, ValueError) as error:
            return Answer.REJECTED, f"{error}; nothing was sent"
        headers = {"content-type": _TYPES[self._settings.body], "accept": "application/json"}
        if document.etag:
            headers["if-match"] = document.etag
        try:
            reply = self._web.ask(self._method, self._path, headers=headers, body=body)
        except WebPlaneError as error:
            return Answer.UNKNOWN if error.sent else Answer.REJECTED, str(error)
        return self._said(reply, document)

    def _body(self, document: _Document, change: Change) -> bytes:
        """What is sent. Raises ValueError in a sentence."""
        after = _lowest_terms(change.after) if self._settings.lowest_terms else change.after
        held = self._held(document.content)
        if isinstance(held, dict):
            others = [arm for arm in held if arm not in self.arms]
            if others:
                listed = clean(", ".join(others), 200)
                raise ValueError(f"it also has {listed}; list it in `arms`")
            missing = [arm for arm in self.arms if arm not in held]
            if missing:
                raise ValueError(f"there is no weight for {missing[0]!r}")
        elif isinstance(held, list):
            if len(held) > len(self.arms):
                raise ValueError(f"there are {len(held)} weights for {len(self.arms)} arms")
        else:
            raise ValueError(f"{self._settings.weights!r} is neither an object nor a list")
        # always all arms: a server may take a list that is too short
        weights: Any = [after.weight(arm) for arm in self.arms]
        if not isinstance(held, list):
            weights = {**held, **{arm: after.weight(arm) for arm in self.arms}}
        places = [(self._weights, weights)]
        if self._revision:
            places.append((self._revision, change.id))
        try:
            if self._settings.body == "document":
                content = document.content
                for steps, value in places:
                    content = with_value(content, steps, value)
                return written_json(content)
            if self._settings.body == "merge":
                return written_json(_merge_patch(document.content, places))
            return written_json(self._json_patch(document.content, held, places))
        except LookupError:
            raise ValueError(f"there is no place at {self._settings.revision!r}") from None

    def _json_patch(
        self, content: Any, held: Any, places: list[tuple[tuple[str, ...], Any]]
    ) -> list[dict[str, Any]]:
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": self._settings.weights, "value": held}
        ]
        for steps, value in places:
            with_value(content, steps, value)  # that there is such a place
            try:
                pointed(content, steps)
                operation = "replace"
            except LookupError:
                operation = "add"
            pointer = self._settings.weights if steps == self._weights else self._settings.revision
            operations.append({"op": operation, "path": pointer, "value": value})
        return operations

    def _said(self, reply: Reply, before: _Document) -> tuple[Answer, str]:
        if reply.ok:
            return Answer.ACKED, ""
        if reply.status in (409, 412):
            return Answer.CONFLICT, reply.problem
        if reply.status in _NOT_DONE:
            answer = Answer.REJECTED if self._is_still(before) else Answer.UNKNOWN
            return answer, reply.problem
        if self._tests_values and reply.status in (400, 422) and not self._is_still(before):
            return Answer.CONFLICT, reply.problem  # how many say that a test has failed
        answer = Answer.UNKNOWN if reply.status >= 500 or reply.status == 408 else Answer.REJECTED
        leads = "; give the address that it leads to" if reply.status < 400 else ""
        return answer, f"{reply.problem}{leads}"

    def _is_still(self, before: _Document) -> bool:
        """Whether the document is surely as it was."""
        try:
            return self._get().revision == before.revision
        except PlaneError:
            return False


def _lowest_terms(after: Split) -> Split:
    """The same shares as the smallest whole weights: 3 and 1 for 75 and 25."""
    by = math.gcd(*(weight for _, weight in after.weights))
    return Split(tuple((arm, weight // by) for arm, weight in after.weights))


def _merge_patch(content: Any, places: list[tuple[tuple[str, ...], Any]]) -> Any:
    """An RFC 7396 patch: objects down to each place. Raises ValueError where a list is between."""
    patch: dict[str, Any] = {}
    for steps, value in places:
        with_value(content, steps, value)
        if not steps:
            if not isinstance(value, dict):
                raise ValueError("a list is no merge patch; use body = 'document'")
            patch |= value
            continue
        for depth in range(len(steps)):
            if not isinstance(pointed(content, steps[:depth]), dict):
                raise ValueError("a merge patch cannot reach into a list; use body = 'document'")
        inner = patch
        for step in steps[:-1]:
            inner = inner.setdefault(step, {})
        inner[steps[-1]] = value
    return patch


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weight(arm: str, value: Any) -> int:
    number = whole(value) if _is_number(value) else None
    if number is None:
        raise ValueError(
            f"the weight of {clean(arm, 60)!r} is {clean(value, 40)}, not a whole number from 0"
        )
    return number
