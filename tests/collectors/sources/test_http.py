"""A server that misbehaves costs a sentence, never a row, a secret or the process."""

from __future__ import annotations

import gzip
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from http_server import KEY, TOKEN, HttpServer, Reply, Row
from synthetic import NOW, Logs

from collectors.errors import SourceError
from collectors.source_settings import HttpSource
from collectors.sources import http
from collectors.sources.http import HttpPuller

START = datetime(2024, 3, 1, tzinfo=UTC)


def rows(n: int, seconds: int = 60) -> list[Row]:
    """So many predictions, one a minute."""
    moments = (START + timedelta(seconds=seconds * i) for i in range(n))
    return [
        {"id": f"r{i}", "ts": moment.isoformat(), "score": 0.5, "shop": "north"}
        for i, moment in enumerate(moments)
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setenv("SERVED_TOKEN", TOKEN)
    monkeypatch.setenv("SERVED_KEY", KEY)
    made = HttpServer()
    yield made
    made.stop()


def source(server: HttpServer, style: str = "token", **more: Any) -> HttpSource:
    found: dict[str, Any] = {
        "url": f"{server.url}/{style}/predictions",
        "token_env": "SERVED_TOKEN",
        "headers": {"X-Api-Key": "SERVED_KEY"},
        "timeout": "2s",
    }
    if style in ("token", "address", "both"):
        found |= {"records": "data.items", "next": "meta.next"}
    if style in ("since", "after", "both", "lines", "csv"):
        found |= {"since_param": "since", "since_field": "ts", "overlap": "5m"}
    return HttpSource.model_validate(found | more)


class Look:
    """One look at a source after the other, with the cursor that a store would keep."""

    def __init__(self, asked: HttpSource, folder: Path) -> None:
        self.asked, self.folder = asked, folder
        self.known: dict[str, str] = {}

    def __call__(self, n: int | None = None) -> list[str]:
        """The ids that a look (its first n pages) brings. Raises SourceError."""
        found: list[str] = []
        with HttpPuller(self.asked, self.folder) as puller:
            for number, page in enumerate(puller.pages(self.known, self.folder, NOW), 1):
                lines = page.path.read_text().splitlines()
                found += [json.loads(line)["id"] for line in lines]
                self.known[page.source] = page.cursor
                if number == n:
                    break
        return found

    def problem(self) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self()
        text = str(caught.value)
        assert "\n" not in text and len(text) < 700
        text += getattr(caught.value, "body", "")
        assert TOKEN not in text and KEY not in text and "\x1b" not in text
        return caught.value


def reply(status: int, body: bytes = b"", **headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, named, body)


def plain(body: bytes, kind: str = "application/json") -> Callable[[Reply], Reply]:
    return reply(200, body, Content_Type=kind)


FAULTS: dict[str, tuple[Callable[[Reply], Reply], str]] = {
    "no token": (reply(401, TOKEN.encode()), "answered 401 Unauthorized; give a valid token"),
    "no right": (reply(403), "answered 403 Forbidden; the token has no right"),
    "too often": (reply(429, Retry_After="7"), "answered 429 Too Many Requests"),
    "broken": (reply(500, b"\x1b[2J" * 9000), "answered 500 Internal Server Error"),
    "an odd status": (reply(599), "answered 599;"),
    "a login page": (plain(b"<!doctype html>", "text/html; charset=x"), "is a web page"),
    "no JSON": (plain(b"\x00\x01\x02"), "is no JSON object"),
    "empty": (plain(b""), "is no JSON object"),
    "a list": (plain(b'[{"id": 1}]'), "is no JSON object"),
    "another object": (plain(b'{"data": {"rows": []}}'), "no list at 'data.items', only 'rows'"),
    "an object": (plain(b'{"data": {"items": {}}}'), "has an object at 'data.items'"),
    "cut-off JSON": (plain(b'{"data": {"items": [{"id": "x'), "is JSON that is cut off"),
    "two documents": (plain(b'{"data": {"items": []}}{}'), "holds more than one JSON document"),
    "an odd token": (plain(b'{"meta": {"next": [1]}, "data": {"items": []}}'), "no token at"),
    "a surrogate": (plain(b'{"meta": {"next": "\\ud800"}}'), "no token at 'meta.next'"),
    "a cut-off body": (lambda r: replace(r, length=len(r.body) + 5), "broke off its answer"),
    "damaged gzip": (lambda r: replace(r, body=r.body[:20] + b"\0\0" + r.body[22:]), "damaged"),
    "cut-off gzip": (lambda r: replace(r, body=r.body[:-9]), "sent gzip that is cut off"),
    "a packing": (reply(200, b"x", Content_Encoding="br"), "in the encoding 'br'"),
    "a bomb": (
        lambda r: replace(r, body=gzip.compress(bytes(5_000_000))),
        "answered with more than 1 MiB; ask for smaller pages",
    ),
    "round and round": (reply(302, Location="/token/predictions"), "redirects again and again"),
    "elsewhere": (reply(302, Location="http://localhost:1/x"), "that is another server"),
    "nowhere": (reply(302, Location="http://[::1"), "Invalid URL in location header"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_bad_answer_is_one_sentence_and_nothing_is_lost(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 1024 * 1024)
    server.add("predictions", rows(20))
    look = Look(source(server), tmp_path)
    assert len(look(1)) == 7
    server.fault, said = FAULTS[fault]
    assert said in str(look.problem())
    server.fault = None
    assert look() == [f"r{i}" for i in range(7, 20)]


def test_a_body_that_never_ends_has_a_deadline(server: HttpServer, tmp_path: Path) -> None:
    gone = threading.Event()

    def slow(honest: Reply) -> Reply:
        gone.wait(30)
        return honest

    server.fault = slow
    look = Look(source(server, timeout="1s"), tmp_path)
    assert "did not answer within 1 s" in str(look.problem())
    gone.set()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("7", 7.0),
        ("Fri, 01 Mar 2024 00:02:00 GMT", 120.0),
        ("Fri, 01 Mar 2023 00:00:00 GMT", 0.0),
        ("99999999", 86400.0),
        ("-3", 0.0),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(
    server: HttpServer, tmp_path: Path, given: str, wanted: float | None
) -> None:
    date = "Fri, 01 Mar 2024 00:00:00 GMT"
    server.fault = reply(503, Retry_After=given, Date=date)
    assert Look(source(server), tmp_path).problem().retry_after == wanted


@pytest.mark.parametrize("way", ["redirect", "link", "address"])
def test_another_server_gets_no_request(server: HttpServer, tmp_path: Path, way: str) -> None:
    other = HttpServer()
    other.add("predictions", rows(3))
    server.add("predictions", rows(3))
    there = other.url.replace("127.0.0.1", "localhost") + "/token/predictions"
    faults = {
        "redirect": reply(307, Location=there),
        "link": reply(200, b"[]", Link=f"<{there}>; rel=next"),
        "address": plain(json.dumps({"meta": {"next": there}, "data": {"items": []}}).encode()),
    }
    server.fault = faults[way]
    look = Look(source(server, "link" if way == "link" else "token"), tmp_path)
    assert "that is another server, so it is not asked" in str(look.problem())
    assert other.asked == []
    other.stop()


def test_what_has_not_changed_is_not_sent_again(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(10))
    for style in ("token", "link", "since", "whole"):
        look = Look(source(server, style), tmp_path)
        assert len(set(look())) == 10, style
        assert set(look()) <= {f"r{i}" for i in range(4, 10)}, style  # by time: the overlap
        assert look() == [], style
        server.asked.clear()
        assert look() == [], style
        assert len(server.asked) == 1, style
        assert server.seen[-1]["if-none-match"], style


def test_without_etags_the_body_tells(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(10))
    server.fault = lambda r: replace(r, headers={k: v for k, v in r.headers.items() if k != "ETag"})
    for style in ("token", "whole"):
        look = Look(source(server, style), tmp_path)
        assert len(look()) == 10
        assert look() == []


def test_a_forgotten_token_begins_anew(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(10))
    look = Look(source(server), tmp_path)
    assert len(look()) == 10
    server.forgotten = "t/"
    server.add("predictions", rows(12)[10:])
    assert "410" in str(look.problem())  # the second page's token is not known either
    server.prefix = "u/"
    assert look() == [f"r{i}" for i in range(12)]


@pytest.mark.parametrize("length", [2, 3, 5])
def test_pages_in_a_circle_are_noticed(server: HttpServer, tmp_path: Path, length: int) -> None:
    def turn(_: Reply) -> Reply:
        following = str(len(server.asked) % length)
        body = {"meta": {"next": following}, "data": {"items": [{"id": following}]}}
        return Reply(200, {}, json.dumps(body).encode())

    server.fault = turn
    assert "go round in a circle" in str(Look(source(server), tmp_path).problem())
    assert len(server.asked) < 10 * length


def test_endless_pages_without_a_record_are_noticed(server: HttpServer, tmp_path: Path) -> None:
    def more(_: Reply) -> Reply:
        body = {"meta": {"next": len(server.asked)}, "data": {"items": []}}
        return Reply(200, {}, json.dumps(body).encode())

    server.fault = more
    assert "1000 pages without a record" in str(Look(source(server), tmp_path).problem())


# --- by time ---------------------------------------------------------------------------------


def test_more_records_of_one_moment_than_a_page_holds_are_told(
    server: HttpServer, tmp_path: Path
) -> None:
    server.add("predictions", rows(30))
    look = Look(source(server, "since"), tmp_path)
    assert len(set(look())) == 30
    server.add("predictions", [row | {"id": f"x{i}"} for i, row in enumerate([rows(31)[-1]] * 9)])
    for _ in range(2):
        assert "may have more records of 2024-03-01T00:30:00+00:00" in str(look.problem())
    larger = Look(source(server, "since", params={"limit": "20"}), tmp_path)
    larger.known, server.limit = look.known, 20
    assert {f"x{i}" for i in range(9)} <= set(larger())
    larger()
    assert larger() == []


def test_a_first_page_full_of_one_moment_is_told(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", [rows(1)[0] | {"id": f"x{i}"} for i in range(9)])
    server.add("predictions", rows(3)[1:])
    assert "may have more records of" in str(Look(source(server, "since"), tmp_path).problem())


def test_one_moment_alone_is_no_problem(server: HttpServer, tmp_path: Path) -> None:
    server.limit = 1000
    server.add("predictions", [rows(1)[0] | {"id": f"x{i}"} for i in range(9)])
    look = Look(source(server, "since"), tmp_path)
    assert set(look()) == {f"x{i}" for i in range(9)}
    look()
    assert look() == []


@pytest.mark.parametrize("style", ["since", "both"])
def test_a_record_of_the_future_hides_none(server: HttpServer, tmp_path: Path, style: str) -> None:
    wrong = rows(1)[0] | {"id": "wrong", "ts": "9999-01-01T00:00:00+00:00"}
    server.add("predictions", [*rows(4), wrong])
    look = Look(source(server, style), tmp_path)
    assert len(set(look())) == 5
    server.add("predictions", rows(6)[4:])
    assert {"r4", "r5"} <= set(look())


def test_late_records_within_the_overlap_are_found(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(20)[::2])
    look = Look(source(server, "since", overlap="20m"), tmp_path)
    look()
    server.add("predictions", rows(20)[1::2])
    assert {f"r{i}" for i in range(1, 20, 2)} <= set(look())


def test_the_configured_start_is_the_first_value(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(20))
    start = "2024-03-01T00:15:00+00:00"
    look = Look(source(server, "since", start=start), tmp_path)
    assert set(look()) == {f"r{i}" for i in range(15, 20)}
    earlier = Look(source(server, "since", start="2024-03-01T00:10:00Z"), tmp_path)
    earlier.known = look.known  # another start is another question
    assert set(earlier()) == {f"r{i}" for i in range(10, 20)}
    with pytest.raises(SourceError, match="`start` 'monday' is no time or number"):
        HttpPuller(source(server, "since", start="monday"), tmp_path)


def test_records_without_times_are_loaded_and_told(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(3))
    look = Look(source(server, "since", since_field="shop"), tmp_path)
    assert "is `since_field` 'shop' right?" in str(look.problem())
    assert look.known


# --- records ---------------------------------------------------------------------------------

HOSTILE = [
    b'{"id": "good", "ts": "2024-03-01T10:00:00Z", "score": 0.25, "shop": "north"}',
    b'{"id": "nan", "ts": "2024-03-01T10:00:00Z", "score": NaN}',
    b'{"id": "broken", "ts": oops, "score": 0.5}',
    b'{"id": "deep", "note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"id": "digits", "ts": "2024-03-01T10:00:00Z", "score": ' + b"9" * 6000 + b"}",
    b'{"id": "long", "note": "' + b"x" * 3_000_000 + b'"}',
    b'{"id": "bytes \xff", "ts": "2024-03-01T10:00:00Z", "score": 0.5}',
    b'"a text"',
    b"7",
    b"null",
    b'{\n "id": "lines",\n "ts": "2024-03-01T10:00:00Z",\r\n "score": 0.75, "shop": "a, ]}b"\n}',
]


def test_records_that_cannot_be_used_go_to_quarantine(server: HttpServer, tmp_path: Path) -> None:
    body = b'{"meta": {"total": 1e999}, "data": {"items": [' + b", ".join(HOSTILE) + b"]}}"
    server.fault = plain(body)
    logs = Logs(tmp_path, predictions=source(server).model_dump(mode="json"))
    assert logs.collect() == []
    assert logs.rows("id, score") == [("good", 0.25), ("lines", 0.75)]
    assert len(logs.bad()) == len(HOSTILE) - 2
    assert [position for position, _ in logs.bad()] == list(range(2, len(HOSTILE)))
    assert logs.collect() == []
    assert len(logs.bad()) == len(HOSTILE) - 2


@pytest.mark.parametrize(
    ("body", "kind", "more"),
    [
        (b'[{"id": "a"}, {"id": "b"}]', "application/json", {}),
        (b'\xef\xbb\xbf [{"id": "a"},\n{"id": "b"}]\n', "text/plain", {}),
        (b'{"id": "a"}\n{"id": "b"}\n', "application/json", {}),
        (b'{"id": "a"}\n{"id": "b"}', "application/x-ndjson", {}),
        (b"id\na\nb\n", "text/csv", {}),
        (b"id\na\nb\n", "application/octet-stream", {"format": "csv"}),
        (gzip.compress(b'{"id": "a"}\n{"id": "b"}\n', mtime=0), "application/gzip", {}),
        (b'{"rows": [{"id": "a"}, {"id": "b"}]}', "", {"records": "rows"}),
    ],
)
def test_forms_of_bodies(
    server: HttpServer, tmp_path: Path, body: bytes, kind: str, more: dict[str, Any]
) -> None:
    server.fault = plain(body, kind)
    logs = Logs(
        tmp_path,
        predictions=source(server, "whole", **more).model_dump(mode="json"),
        id="id",
        timestamp="",
        score="",
        prediction="id",
        task="multiclass",
        features={},
        segments=[],
    )
    assert logs.collect() == []
    assert logs.ids() == ["a", "b"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"", b"  \n"])
def test_no_records_are_no_problem(server: HttpServer, tmp_path: Path, body: bytes) -> None:
    server.fault = plain(body)
    assert Look(source(server, "whole"), tmp_path)() == []


@pytest.mark.parametrize("body", [b"{}", b'{"meta": {"next": ""}}', b'{"data": {"items": null}}'])
def test_an_empty_list_may_be_left_out(server: HttpServer, tmp_path: Path, body: bytes) -> None:
    server.fault = plain(body)
    assert Look(source(server), tmp_path)() == []


# --- secrets ---------------------------------------------------------------------------------


def test_a_renewed_token_is_used(server: HttpServer, tmp_path: Path) -> None:
    server.add("predictions", rows(3))
    asked = source(server, token_env="", token_file="token")  # noqa: S106 - a file
    with pytest.raises(SourceError, match="there is no file"):
        HttpPuller(asked, tmp_path)
    (tmp_path / "token").write_text("old\n")
    with HttpPuller(asked, tmp_path) as puller:
        with pytest.raises(SourceError, match="401"):
            list(puller.pages({}, tmp_path, NOW))
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        assert list(puller.pages({}, tmp_path, NOW))


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "ümlaut", "nul\x7f"])
def test_a_secret_that_cannot_be_sent_is_named_and_not_shown(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("SERVED_TOKEN")
    if value is not None:
        monkeypatch.setenv("SERVED_TOKEN", value)
    with pytest.raises(SourceError, match="SERVED_TOKEN") as caught:
        HttpPuller(source(server), tmp_path)
    assert "lines" not in str(caught.value)


def test_a_key_in_the_address_stays_in_the_configuration(
    server: HttpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.add("predictions", rows(20))
    base = source(server, "link")
    asked = base.model_copy(
        update={"url": f"{base.url}?api_key=hidden-1", "params": {"shop": "hidden-2"}}
    )
    look = Look(asked, tmp_path)
    assert len(look()) == 20
    assert all("api_key=hidden-1" in path and "shop=hidden-2" in path for path in server.asked)
    assert "at=14" in look.known[asked.shown]
    server.fault = reply(500)
    assert "hidden" not in asked.shown + look.known[asked.shown] + str(look.problem())
    assert "hidden" not in caplog.text


def test_the_proxy_of_the_environment_is_used(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("predictions", rows(3))
    monkeypatch.setenv("HTTP_PROXY", server.url)
    asked = source(server).model_copy(update={"url": "http://models.invalid/token/predictions"})
    assert len(Look(asked, tmp_path)()) == 3
    assert server.asked == ["http://models.invalid/token/predictions"]
    monkeypatch.setenv("HTTP_PROXY", "gopher://user:secret@x")
    with pytest.raises(SourceError, match="the proxy that the environment names") as caught:
        HttpPuller(asked, tmp_path)
    assert "secret" not in str(caught.value)


def test_certificates_are_verified(server: HttpServer, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    server.add("predictions", rows(3))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.wrap(context)
    asked = source(server)
    assert "give the authority that signed it in `ca_file`" in str(Look(asked, tmp_path).problem())
    trusting = asked.model_copy(update={"ca_file": certificate.name})
    assert len(Look(trusting, tmp_path)()) == 3
    with pytest.raises(SourceError, match="cannot read certificates from gone"):
        HttpPuller(asked.model_copy(update={"ca_file": "gone.pem"}), tmp_path)


def self_signed(folder: Path) -> Path:
    """A key and a certificate of 127.0.0.1 in one file."""
    pytest.importorskip("cryptography")
    from ipaddress import ip_address  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"next": "meta.next", "records": ""}, "`next` needs `records`"),
        ({"records": "x", "format": "csv", "next": ""}, "`records` is for JSON"),
        ({"token_file": "x"}, "not in both"),
    ],
)
def test_keys_that_do_not_fit_are_told(
    server: HttpServer, tmp_path: Path, keys: dict[str, str], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        HttpPuller(source(server, **keys), tmp_path)
