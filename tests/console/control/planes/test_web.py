"""The client that planes share: once, bounded, nothing shown, and clear about what was sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Fault, FaultyProxy
from hostile import http

from console.control.errors import PlaneError
from console.control.plane_settings import EnvoyPlane
from console.control.planes.web import Web, WebPlaneError, parsed, trust, whole

Wrap = Callable[[socket.socket], socket.socket]


class Server:
    """Answers one request a connection. wrap: a connection into TLS."""

    def __init__(self, wrap: Wrap = lambda one: one) -> None:
        self.requests: list[bytes] = []
        self.reply = http(b"{}")
        self.ends = b""
        """What a whole request ends with."""
        self.wrap = wrap
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            try:
                with self.wrap(raw) as one:
                    said = b""
                    while b"\r\n\r\n" not in said or not said.endswith(self.ends):
                        piece = one.recv(65536)
                        if not piece:
                            break
                        said += piece
                    self.requests.append(said)
                    one.sendall(self.reply)
            except OSError:
                raw.close()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def settings(**more: Any) -> EnvoyPlane:
    return EnvoyPlane(kind="envoy", admin=("http://127.0.0.1:9",), prefix="x", **more)


def web(server: Server, folder: Path, scheme: str = "http", **more: Any) -> Web:
    return Web.of(settings(**more), f"{scheme}://127.0.0.1:{server.port}", folder)


def test_what_is_asked_arrives_as_it_was_meant(server: Server, tmp_path: Path) -> None:
    server.ends = b"b"
    reply = web(server, tmp_path).ask("POST", "/a", {"k e+y": "v&=%\n", "n": 7}, body=b"b")
    assert reply.status == 200
    line = server.requests[0].split(b"\r\n")[0]
    assert line == b"POST /a?k%20e%2By=v%26%3D%25%0A&n=7 HTTP/1.1"
    assert server.requests[0].endswith(b"\r\n\r\nb")


def test_a_token_is_sent_and_read_anew_each_time(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    asking = web(server, tmp_path, token_file="token")  # noqa: S106 - a file's name
    asking.ask("GET", "/")
    (tmp_path / "token").write_text("second")
    asking.ask("GET", "/")
    assert b"authorization: bearer first\r\n" in server.requests[0].lower()
    assert b"authorization: bearer second\r\n" in server.requests[1].lower()


def test_a_secret_that_comes_back_is_not_shown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "s3cr3t-of-ours")
    asking = web(server, tmp_path, headers={"X-Key": "KEY"})
    server.reply = http(b"you sent s3cr3t-of-ours \x1b[2J", "403 Forbidden")
    reply = asking.ask("GET", "/")
    assert "you sent ***" in reply.problem
    assert reply.problem.isprintable()
    assert "s3cr3t" not in repr(asking)


def test_a_secret_that_is_missing_is_told_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(PlaneError, match="NO_SUCH_VARIABLE is not set"):
        web(server, tmp_path, token_env="NO_SUCH_VARIABLE")  # noqa: S106 - a variable's name
    (tmp_path / "token").write_text("one")
    asking = web(server, tmp_path, token_file="token")  # noqa: S106 - a file's name
    (tmp_path / "token").unlink()
    with pytest.raises(WebPlaneError) as caught:
        asking.ask("POST", "/")
    assert not caught.value.sent
    assert server.requests == []


def test_a_redirect_is_not_followed(server: Server, tmp_path: Path) -> None:
    other = Server()
    server.reply = http(b"", "307 Temporary", f"Location: http://127.0.0.1:{other.port}/")
    try:
        assert web(server, tmp_path).ask("POST", "/").status == 307
        assert other.requests == []
    finally:
        other.stop()


def test_no_proxy_of_the_environment_sees_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert web(server, tmp_path).ask("GET", "/").status == 200


def test_cookies_are_not_kept(server: Server, tmp_path: Path) -> None:
    server.reply = http(b"{}", "200 OK", "Set-Cookie: a=b")
    asking = web(server, tmp_path)
    asking.ask("GET", "/")
    asking.ask("GET", "/")
    assert b"cookie" not in server.requests[1].lower()


def test_a_connection_that_dies_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.reply = b""
    with pytest.raises(WebPlaneError) as caught:
        web(server, tmp_path).ask("GET", "/")
    assert caught.value.sent
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "reply", "sent"),
    [
        (Fault.REFUSE, b"", False),
        (Fault.HANG, b"", True),
        (Fault.DRIP, b"HTTP/1.1 200 OK\r\n", True),
        (Fault.DRIP, http(b"x" * 1000), True),
        (Fault.ENDLESS, b"HTTP/1.1 200 OK\r\nX: ", True),
        (Fault.ENDLESS, b"HTTP/1.1 200 OK\r\n\r\n", True),
    ],
)
def test_it_ends_and_says_whether_it_was_sent(
    server: Server, tmp_path: Path, fault: Fault, reply: bytes, sent: bool
) -> None:
    with FaultyProxy(("127.0.0.1", server.port)) as proxy:
        proxy.set(fault, reply=reply)
        asking = Web.of(
            settings(timeout=timedelta(seconds=0.3)), f"http://{proxy.address}", tmp_path
        )
        with pytest.raises(WebPlaneError) as caught:
            asking.ask("GET", "/")
        assert caught.value.sent == sent
        assert str(caught.value).isprintable()


def test_nobody_takes_the_connection() -> None:
    """A queue that is full: the connection is never made, so nothing was sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            with pytest.raises(WebPlaneError, match="could not be reached within") as caught:
                Web(f"http://127.0.0.1:{port}", timeout=0.3).ask("POST", "/")
            assert not caught.value.sent
        finally:
            for one in waiting:
                one.close()


# --- TLS -----------------------------------------------------------------------------------------


def authority(folder: Path) -> None:
    """ca.pem; server.pem of 127.0.0.1 and client.pem with their keys; locked.pem's is encrypted."""
    pytest.importorskip("cryptography")
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    now = datetime.now(UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])

    def certificate(name: str, key: Any, *, is_root: bool) -> bytes:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(root_key, hashes.SHA256())
        )
        return bytes(made.public_bytes(serialization.Encoding.PEM))

    def private(key: Any, locked: bytes = b"") -> bytes:
        lock = (
            serialization.BestAvailableEncryption(locked)
            if locked
            else serialization.NoEncryption()
        )
        kind = serialization.PrivateFormat.PKCS8
        return bytes(key.private_bytes(serialization.Encoding.PEM, kind, lock))

    (folder / "ca.pem").write_bytes(certificate("root", root_key, is_root=True))
    for name in ("server", "client", "locked"):
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.pem").write_bytes(certificate(name, key, is_root=False))
        (folder / f"{name}.key").write_bytes(private(key, b"pw" if name == "locked" else b""))


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Server]:
    """A server that wants a certificate of a client."""
    authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    made = Server(lambda one: context.wrap_socket(one, server_side=True))
    yield made
    made.stop()


def test_both_show_who_they_are(tls: Server, tmp_path: Path) -> None:
    shown = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    assert web(tls, tmp_path, "https", **shown).ask("GET", "/").status == 200


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
def test_a_server_that_nobody_vouches_for(tls: Server, tmp_path: Path, scheme: str) -> None:
    with pytest.raises(WebPlaneError, match="`ca_file`") as caught:
        web(tls, tmp_path, scheme).ask("POST", "/")
    assert not caught.value.sent
    assert tls.requests == []


def test_a_server_that_does_not_take_us(tls: Server, tmp_path: Path) -> None:
    with pytest.raises(WebPlaneError, match="does not accept our certificate") as caught:
        web(tls, tmp_path, "https", ca_file="ca.pem").ask("POST", "/")
    assert not caught.value.sent
    assert tls.requests == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ca_file": "gone.pem"}, "cannot read the authorities in gone.pem"),
        ({"ca_file": "server.key"}, "cannot read the authorities in server.key"),
        ({"ca_file": "."}, "cannot read the authorities in"),
        ({"cert_file": "gone.pem", "key_file": "client.key"}, "cannot use the certificate"),
        ({"cert_file": "client.pem", "key_file": "server.key"}, "cannot use the certificate"),
        ({"cert_file": "locked.pem", "key_file": "locked.key"}, "its key is encrypted"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, files: dict[str, str], said: str) -> None:
    authority(tmp_path)
    with pytest.raises(PlaneError, match=said) as caught:
        trust(tmp_path, *(files.get(key, "") for key in ("ca_file", "cert_file", "key_file")))
    assert str(caught.value).isprintable()


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b" <html>", "a web page"),
        (b"[NaN]", "NaN"),
        (b'{"a":-Infinity}', "infinity"),
        (b"[" * 200_000, "nested too deep"),
        (b"9" * 10_000, "thousands of digits"),
    ],
)
def test_what_is_no_json(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parsed(body)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((0, 0), (7, 7), ("7", 7), (" 7 ", 7), (7.0, 7), (2**63 - 1, 2**63 - 1), ("007", 7)),
        *((-1, None), (2**63, None), (1.5, None), (True, None), (None, None), ([], None)),
        *(("", None), ("-1", None), ("7.0", None), ("٧", None), ("9" * 30, None), (1e300, None)),
        *((float("nan"), None), (float("inf"), None), ("+7", None), ("7_0", None)),
    ],
)
def test_whole_numbers(value: object, number: int | None) -> None:
    assert whole(value) == number
