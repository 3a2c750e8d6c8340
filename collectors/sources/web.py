"""A small HTTP client for sources: bounded, patient with nobody, and silent about secrets.

A request has one deadline and its answer one limit, packed and unpacked. The token and the secret
headers go to the configured server only: a redirect or a page elsewhere is refused. Whatever
fails is one sentence with the server, the status and what to do.
"""

from __future__ import annotations

import email.utils
import json
import logging
import math
import re
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from collectors.errors import SourceError
from collectors.source_settings import WebSource
from collectors.sources.credentials import PRINTABLE, Credentials
from collectors.sources.streams import Gunzip
from collectors.text import clean

__all__ = ["LARGEST_BODY", "LARGEST_JSON", "Answer", "Params", "WebClient", "WebError"]

LARGEST_BODY = 256 * 1024 * 1024
"""Bytes of an answer that goes to a file, unpacked."""

LARGEST_JSON = 32 * 1024 * 1024
"""Bytes of an answer that is parsed in memory, unpacked."""

_PIECE = 64 * 1024
_REDIRECTS = 5
_LONGEST_WAIT_S = 24 * 3600.0
_EXCERPT = 4096
_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:\"[^\"]*\"|[^\",;\s]+))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\",;\s]+))", re.IGNORECASE)

Params = Mapping[str, str] | Sequence[tuple[str, str]]

_HINTS: Mapping[int, str] = {
    401: "give a valid token in `token_env` or `token_file`",
    403: "the token has no right to read this",
    404: "check the address in the configuration",
    407: "the proxy wants a login",
    429: "it is asked too often; it will be asked again later",
}


class WebError(SourceError):
    """An answer that is none. status: None when there was no answer. body: how it began, at most
    4 KiB, without secrets and control characters. too_much: it was too large or took too long, so
    that a smaller question may have an answer."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = None,
        body: str = "",
        retry_after: float | None = None,
        too_much: bool = False,
    ) -> None:
        super().__init__(message, hint, retry_after=retry_after)
        self.status = status
        self.body = body
        self.too_much = too_much


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, without its body. status: 200 to 299, or 304 when nothing has changed.

    size: bytes of the body, unpacked. next_link: the address of `Link: <...>; rel="next"`, whole;
    empty if none. content_type: without its parameters, in small letters.
    """

    url: str
    status: int
    size: int = 0
    etag: str = ""
    next_link: str = ""
    content_type: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether the server has nothing newer than the ETag that it was sent."""
        return self.status == HTTPStatus.NOT_MODIFIED


class WebClient:
    """Asks the server of one source; for one thread. Proxies come from the environment.

    server: its address; requests elsewhere are refused. base: the folder that `token_file` and
    `ca_file` are relative to. Raises SourceError when a secret is missing.
    """

    def __init__(self, source: WebSource, server: str, base: Path) -> None:
        self._source = source
        self._base = base
        self._server = httpx.URL(server)
        self._timeout = source.timeout.total_seconds()
        self._credentials = Credentials(source, base)
        self._credentials.headers()  # what is missing is told at once
        for name in ("httpx", "httpcore"):  # they log addresses and headers, secrets among them
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = self._connected()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def fetch(
        self,
        url: str,
        path: Path,
        params: Params = (),
        *,
        etag: str = "",
        limit: int = LARGEST_BODY,
        accept: str = "*/*",
    ) -> Answer:
        """GET into a file, which is empty when there is no body. Raises WebError."""
        with path.open("wb") as file:
            return self._ask(url, params, file.write, etag=etag, limit=limit, accept=accept)

    def json(
        self,
        url: str,
        params: Params = (),
        *,
        form: Params | None = None,
        limit: int = LARGEST_JSON,
    ) -> Any:
        """GET a JSON body, or POST `form` for one, and parse it. Raises WebError.

        NaN and infinities come as floats: whoever uses numbers checks them.
        """
        body = bytearray()
        accept = "application/json"
        answer = self._ask(url, params, body.extend, form=form, limit=limit, accept=accept)
        try:
            return json.loads(body)
        except RecursionError:
            problem = "nested too deep"
        except ValueError as error:
            problem = "no JSON"
            if "digits" in str(error):
                problem = "with a number of thousands of digits"
        begin = bytes(body[:_EXCERPT])
        if answer.content_type == "text/html" or begin.lstrip()[:1] == b"<":
            problem = "a web page, no JSON"
        raise WebError(
            f"{_shown(url)} answered with something that is {problem}",
            "check the address in the configuration",
            status=answer.status,
            body=self._said(begin),
        )

    # --- one request -------------------------------------------------------------------------

    def _ask(
        self,
        url: str,
        params: Params,
        sink: Callable[[bytes], object],
        *,
        limit: int,
        accept: str,
        etag: str = "",
        form: Params | None = None,
    ) -> Answer:
        target = self._target(url, self._server, "the address")
        if params:
            asked = [*target.params.multi_items(), *_listed(params)]
            target = target.copy_with(params=asked)
        deadline = time.monotonic() + self._timeout
        for _ in range(_REDIRECTS + 1):
            with self._answered(target, form, etag, accept) as response:
                where = response.headers.get("location", "")
                if response.is_redirect and where:
                    target = self._target(where, target, f"{_shown(target)} sends on to")
                    continue
                return self._taken(response, target, sink, limit, deadline)
        raise WebError(f"{_shown(url)} redirects again and again", "check the address")

    @contextmanager
    def _answered(
        self, target: httpx.URL, form: Params | None, etag: str, accept: str
    ) -> Iterator[httpx.Response]:
        """The answer once its headers are here; a connection that had died is replaced once."""
        headers = _OURS | self._credentials.headers() | {"accept": accept}
        if etag:
            headers["if-none-match"] = etag
        body = None if form is None else urlencode(_listed(form)).encode()
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        request = self._client.build_request(
            "GET" if form is None else "POST", target, headers=headers, content=body
        )
        response: httpx.Response | None = None
        try:
            try:
                response = self._client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                response = self._client.send(request, stream=True)
            yield response
        except httpx.TimeoutException:
            what = f"{_shown(target)} did not answer within {self._timeout:g} s"
            hint = "is it up? `timeout` may be raised"
            raise WebError(what, hint, too_much=True) from None
        except httpx.HTTPError as error:
            raise self._broken(target, error, begun=response is not None) from None
        finally:
            if response is not None:
                response.close()

    def _taken(
        self,
        response: httpx.Response,
        target: httpx.URL,
        sink: Callable[[bytes], object],
        limit: int,
        deadline: float,
    ) -> Answer:
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return Answer(str(target), response.status_code)
        if not response.is_success:
            raise self._refused(response, target, deadline)
        size = 0
        for piece in self._unpacked(response, target, deadline):
            size += len(piece)
            if size > limit:
                what = f"{_shown(target)} answered with more than {limit / 2**20:g} MiB"
                status = response.status_code
                raise WebError(what, "ask for smaller pages", status=status, too_much=True)
            sink(piece)
        given = response.headers.get("etag", "")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(
            str(target),
            response.status_code,
            size,
            given if len(given) <= 500 and PRINTABLE.fullmatch(given) else "",
            _next_link(response, target),
            kind,
        )

    def _unpacked(
        self, response: httpx.Response, target: httpx.URL, deadline: float
    ) -> Iterator[bytes]:
        """The body in bounded pieces. Only gzip was asked for, so nothing else is unpacked."""
        packing = response.headers.get("content-encoding", "").strip().lower()
        if packing not in ("", "identity", "gzip", "x-gzip"):
            what = f"{_shown(target)} answered in the encoding {clean(packing, 40)!r}"
            raise WebError(what, "only gzip was asked for")
        gzip = Gunzip() if packing.endswith("gzip") else None
        for raw in response.iter_raw(_PIECE):
            if time.monotonic() > deadline:
                what = f"{_shown(target)} had not sent its whole answer after {self._timeout:g} s"
                raise WebError(what, "ask for smaller pages or raise `timeout`", too_much=True)
            try:
                yield from (raw,) if gzip is None else gzip.unpack(raw)
            except zlib.error:
                raise WebError(f"{_shown(target)} sent gzip that is damaged") from None
        if gzip is not None and not gzip.ended:
            raise WebError(f"{_shown(target)} sent gzip that is cut off")

    # --- what may be asked -------------------------------------------------------------------

    def _target(self, url: str, base: httpx.URL, what: str) -> httpx.URL:
        """An address on the source's own server. Raises WebError for any other."""
        try:
            target = base.join(url)
        except (httpx.InvalidURL, ValueError):  # ValueError: text that is not Unicode
            raise WebError(f"{what} {_shown(url)!r} is no usable address") from None
        same = (target.scheme, target.host, _port(target)) == (base.scheme, base.host, _port(base))
        upgraded = (
            (base.scheme, target.scheme) == ("http", "https")
            and target.host == base.host
            and (_port(base), _port(target)) == (80, 443)
        )
        if not (same or upgraded) or target.userinfo:
            raise WebError(
                f"{what} {_shown(target)}: that is another server, so it is not asked",
                "if it is the right one, give its address in the configuration",
            )
        return target

    def _connected(self) -> httpx.Client:
        ca = self._source.ca_file
        verify: ssl.SSLContext | bool = True
        try:
            if ca:
                path = Path(ca).expanduser()
                verify = ssl.create_default_context(cafile=self._base / path)
            return httpx.Client(verify=verify, timeout=self._timeout, follow_redirects=False)
        except (OSError, ssl.SSLError) as error:
            where = ca or "SSL_CERT_FILE or SSL_CERT_DIR of the environment"
            raise SourceError(f"cannot read certificates from {where}: {error.strerror}") from None
        except (ValueError, ImportError, httpx.InvalidURL):  # their text may hold its password
            what = "the proxy that the environment names cannot be used"
            raise SourceError(what, "look at HTTP_PROXY, HTTPS_PROXY and ALL_PROXY") from None

    # --- what went wrong ---------------------------------------------------------------------

    def _refused(self, response: httpx.Response, target: httpx.URL, deadline: float) -> WebError:
        body = b""
        try:
            for piece in self._unpacked(response, target, deadline):
                body += piece[:_EXCERPT]
                if len(body) >= _EXCERPT:
                    break
        except (WebError, httpx.HTTPError):
            pass  # the status says enough
        status = response.status_code
        name = HTTPStatus(status).phrase if status in _STATUSES else ""
        hint = _HINTS.get(status, "")
        if status >= 500:
            hint = "the server has a problem; it will be asked again later"
        return WebError(
            f"{_shown(target)} answered {status} {name}".rstrip(),
            hint,
            status=status,
            body=self._said(body[:_EXCERPT]),
            retry_after=_retry_after(response),
        )

    def _broken(self, target: httpx.URL, error: httpx.HTTPError, *, begun: bool) -> WebError:
        said = self._credentials.hidden(str(error), 200)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            hint = "give the authority that signed it in `ca_file`"
            return WebError(f"the certificate of {_shown(target)} cannot be trusted: {said}", hint)
        if begun:
            return WebError(f"{_shown(target)} broke off its answer: {said}", "it is asked again")
        return WebError(f"cannot reach {_shown(target)}: {said}", "is it up, is the address right?")

    def _said(self, body: bytes) -> str:
        return self._credentials.hidden(body.decode("utf-8", "replace"), _EXCERPT)


_OURS = {"user-agent": "modelwatch", "accept-encoding": "gzip"}
_STATUSES = frozenset(int(status) for status in HTTPStatus)


def _shown(url: httpx.URL | str) -> str:
    """An address without its query, which may hold a key."""
    return clean(str(url).partition("?")[0].partition("#")[0], 300)


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _listed(params: Params) -> list[tuple[str, str]]:
    return list(params.items() if isinstance(params, Mapping) else params)


def _next_link(response: httpx.Response, target: httpx.URL) -> str:
    for header in response.headers.get_list("link"):
        for address, attributes in _LINK.findall(header[:_EXCERPT]):
            rel = _REL.search(attributes)
            if rel and "next" in (rel.group(1) or rel.group(2)).lower().split():
                try:
                    return str(target.join(address))
                except (httpx.InvalidURL, ValueError):
                    return str(address)
    return ""


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, at most a day; a date counts from the server's own clock if it shows it."""
    given = response.headers.get("retry-after", "").strip()
    if not given:
        return None
    try:
        seconds = float(given)
    except ValueError:
        moment = _moment(given)
        if moment is None:
            return None
        here = _moment(response.headers.get("date", ""))
        seconds = moment - (time.time() if here is None else here)
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if math.isfinite(seconds) else None


def _moment(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
