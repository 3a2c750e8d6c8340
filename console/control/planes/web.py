"""One request to a control plane over HTTP: bounded, never repeated, and clear about what was sent.

A change must not be made twice, so nothing is sent again, no redirect is followed and no connection
is kept that may have died meanwhile. What fails says whether anything was sent: where nothing was,
nothing was changed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from collectors.errors import SourceError
from collectors.sources.credentials import PRINTABLE, Credentials
from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane_settings import WebPlane

__all__ = ["LARGEST", "Reply", "Web", "WebPlaneError", "parsed", "trust", "whole"]

LARGEST = 8 * 1024 * 1024
"""Bytes of an answer; of an Envoy with 2,000 clusters, all stats are 5 MB."""

_PIECE = 64 * 1024
_EXCERPT = 300
_REFUSED_US = re.compile(r"SSL: \w*ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE)")
_STATUSES = frozenset(int(status) for status in HTTPStatus)


class WebPlaneError(PlaneError):
    """No answer, or none that can be read. sent: whether the request, or a part, may have arrived.

    Where it was not sent, nothing was changed; where it was, only reading back tells.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with any status. where: who answered, as shown. etag: "" where there is none.

    said: how the body begins, without secrets and control characters, for a message.
    """

    where: str
    status: int
    body: bytes
    said: str
    etag: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    @property
    def problem(self) -> str:
        """What the server answered, as a sentence without its end."""
        name = HTTPStatus(self.status).phrase if self.status in _STATUSES else ""
        what = f"{self.where} answered {self.status} {name}".rstrip()
        return f"{what}: {self.said}" if self.said else what

    def json(self) -> Any:
        """The body of a good answer. Raises WebPlaneError for any other and for what is no JSON."""
        if not self.ok:
            raise WebPlaneError(self.problem, sent=True)
        try:
            return parsed(self.body)
        except ValueError as error:
            raise WebPlaneError(f"{self.where} answered with {error}", sent=True) from None


class Web:
    """Asks one server. address: of the server, http or https, with or without a path before all.

    credentials: None for none. context: whom to trust and what to show, for https. unix: the path
    of a socket to go through instead of a connection to the address. server_name: what the
    server's certificate says, where that is not its address. timeout: seconds for a request as a
    whole (the name's address is looked up by the host, in its own time).
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float,
        credentials: Credentials | None = None,
        context: ssl.SSLContext | None = None,
        unix: str = "",
        server_name: str = "",
    ) -> None:
        self.where = clean(address.partition("?")[0].partition("#")[0].rstrip("/"), 200)
        """The server as shown."""
        self._address = address.rstrip("/")
        self._timeout = timeout
        self._credentials = credentials
        self._server_name = server_name
        for name in ("httpx", "httpcore"):  # they log addresses and headers, secrets among them
            logging.getLogger(name).setLevel(logging.WARNING)
        # verify=False where there is no TLS: reading the host's authorities takes 20 ms
        verify: ssl.SSLContext | bool = context or False
        if context is None and _is_tls(address):
            verify = ssl.create_default_context()
        transport = httpx.HTTPTransport(
            verify=verify,
            trust_env=False,
            uds=unix or None,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)

    @classmethod
    def of(cls, settings: WebPlane, address: str, base: Path) -> Web:
        """As a configuration says. base: the folder of its files. Raises PlaneError.

        Secrets that are missing, and files that cannot be read, are told at once.
        """
        credentials = Credentials(settings, base)
        try:
            credentials.headers()
        except SourceError as error:
            raise PlaneError(str(error)) from None
        context = None
        if _is_tls(address):
            context = trust(base, settings.ca_file, settings.cert_file, settings.key_file)
        timeout = settings.timeout.total_seconds()
        return cls(address, timeout=timeout, credentials=credentials, context=context)

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = LARGEST,
        timeout: float | None = None,
    ) -> Reply:
        """Send one request, once. path: after the address. Raises WebPlaneError.

        The answer has any status; a redirect is an answer too. limit: bytes of its body. timeout:
        seconds, where it is not the usual one.
        """
        # a blank as %20: Envoy takes "+" for a plus
        url = self._address + path + ("?" + urlencode(params, quote_via=quote) if params else "")
        timeout = self._timeout if timeout is None else max(timeout, 0.001)
        given = {"user-agent": "modelwatch", "accept-encoding": "identity", "connection": "close"}
        try:
            secret = self._credentials.headers() if self._credentials else {}
            request = self._client.build_request(
                method,
                url,
                headers=given | secret | dict(headers or {}),
                content=body,
                timeout=timeout,
            )
        except SourceError as error:
            raise WebPlaneError(str(error), sent=False) from None
        except (httpx.InvalidURL, ValueError):
            raise WebPlaneError(f"{self.where} is no usable address", sent=False) from None
        way = _Way(timeout)
        request.extensions["trace"] = way.trace
        if self._server_name:
            request.extensions["sni_hostname"] = self._server_name
        try:
            with way.watched():
                return self._taken(request, way, limit)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, _TooLateError) as error:
            raise self._failed(error, way) from None

    def close(self) -> None:
        """End what is open."""
        self._client.close()

    def _taken(self, request: httpx.Request, way: _Way, limit: int) -> Reply:
        response = self._client.send(request, stream=True)
        self._client.cookies.clear()  # what a server wants to be told again is not ours to keep
        try:
            packing = response.headers.get("content-encoding", "identity").strip().lower()
            if packing not in ("", "identity"):
                what = f"{self.where} answered in an encoding that was not asked for"
                raise WebPlaneError(what, sent=True)
            body = bytearray()
            for piece in response.iter_raw(_PIECE):
                body += piece
                if len(body) > limit:
                    what = f"{self.where} answered with more than {limit / 2**20:g} MiB"
                    raise WebPlaneError(what, sent=True)
                if way.late:
                    raise _TooLateError
        finally:
            response.close()
        etag = response.headers.get("etag", "")
        return Reply(
            self.where,
            response.status_code,
            bytes(body),
            self._said(bytes(body[: 4 * _EXCERPT]).decode("utf-8", "replace")),
            etag if len(etag) <= 500 and PRINTABLE.fullmatch(etag) else "",
        )

    def _failed(self, error: Exception, way: _Way) -> WebPlaneError:
        if way.late or isinstance(error, (httpx.TimeoutException, _TooLateError)):
            what = f"{self.where} did not answer within {way.timeout:.3g} s"
            if not way.sent:
                what = f"{self.where} could not be reached within {way.timeout:.3g} s"
            return WebPlaneError(what, sent=way.sent)
        said = self._said(str(error))
        if _REFUSED_US.search(said):  # in TLS 1.3 it says so after we have sent, and reads nothing
            hint = "give the right `cert_file` and `key_file`"
            what = f"{self.where} does not accept our certificate: {said}; {hint}"
            return WebPlaneError(what, sent=False)
        if not way.sent:
            if "CERTIFICATE_VERIFY_FAILED" in said:
                what = f"the certificate of {self.where} cannot be trusted: {said}"
                hint = "give the authority that signed it in `ca_file`"
                return WebPlaneError(f"{what}; {hint}", sent=False)
            hint = "is it up, is the address right?"
            return WebPlaneError(f"cannot reach {self.where}: {said}; {hint}", sent=False)
        what = f"{self.where} broke off before it had answered: {said}"
        return WebPlaneError(what, sent=True)

    def _said(self, text: str) -> str:
        """For a message; of a longer text both ends, since Caddy says at the end what is wrong."""
        shown = self._hidden(text, 4 * _EXCERPT)
        if len(shown) <= _EXCERPT or len(text) >= 4 * _EXCERPT:
            return clean(shown, _EXCERPT).strip()
        return f"{shown[:90].rstrip()} … {shown[-200:].lstrip()}".strip()

    def _hidden(self, text: str, longest: int) -> str:
        if self._credentials is not None:
            return self._credentials.hidden(text, longest)
        return clean(text, longest)


def trust(base: Path, ca_file: str, cert_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """Whom to trust (empty: whom the host trusts) and what to show. Raises PlaneError."""
    try:
        context = ssl.create_default_context(
            cafile=str(base / Path(ca_file).expanduser()) if ca_file else None
        )
    except (OSError, ValueError) as error:
        said = clean(getattr(error, "strerror", None) or error, 200)
        raise PlaneError(f"cannot read the authorities in {clean(ca_file)}: {said}") from None
    if cert_file:
        try:
            context.load_cert_chain(
                base / Path(cert_file).expanduser(),
                base / Path(key_file).expanduser() if key_file else None,
                password=_no_password,
            )
        except (OSError, ValueError) as error:
            said = clean(getattr(error, "strerror", None) or error, 200)
            what = f"cannot use the certificate {clean(cert_file)} with its key: {said}"
            raise PlaneError(what) from None
    return context


def parsed(body: bytes) -> Any:
    """JSON without NaN and infinities. Raises ValueError that says what it is instead."""
    try:
        return json.loads(body, parse_constant=_refused_constant)
    except RecursionError:
        problem = "JSON that is nested too deep"
    except _ConstantError:
        problem = "JSON with a NaN or an infinity in it"
    except ValueError as error:
        problem = "something that is no JSON"
        if "digits" in str(error):
            problem = "a number of thousands of digits"
        elif body[:200].lstrip()[:1] == b"<":
            problem = "a web page, no JSON"
    raise ValueError(problem)


def whole(value: object) -> int | None:
    """A whole number from 0 to 2^63, also as text or as a float; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    elif isinstance(value, float):
        number = int(value) if value.is_integer() and abs(value) < 2**53 else None
    else:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
    return number if number is not None and 0 <= number < 2**63 else None


def _is_tls(address: str) -> bool:
    """Whatever way it is written: HTTPS:// must not go unchecked."""
    return urlsplit(address).scheme == "https"


class _TooLateError(Exception):
    """The time of a request is over."""


class _ConstantError(ValueError):
    """NaN, Infinity or -Infinity."""


def _refused_constant(name: str) -> None:
    raise _ConstantError(name)


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal."""
    raise ValueError("its key is encrypted; give one that is not")


class _Way:
    """How far a request has come, and its end when its time is over.

    httpx has timeouts for each read only: a server that sends a byte now and then would hold us
    for ever. So the socket is shut down at the deadline, which ends whatever waits for it.
    """

    def __init__(self, timeout: float) -> None:
        self.sent = False
        self.timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._socket: socket.socket | None = None
        self._over = False

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return self._over or time.monotonic() > self._deadline

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End it in time."""
        timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._socket = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore does next or has done."""
        if event in (
            "connection.connect_tcp.complete",
            "connection.connect_unix_socket.complete",
            "connection.start_tls.complete",
        ):
            self._socket = info["return_value"].get_extra_info("socket")
        elif event.endswith(".send_request_headers.started"):
            if self.late:
                raise _TooLateError
            self.sent = True

    def _end(self) -> None:
        self._over = True
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):  # it is closed already
                # not SSLSocket's own shutdown, which takes the TLS object from a reading thread
                socket.socket.shutdown(held, socket.SHUT_RDWR)
