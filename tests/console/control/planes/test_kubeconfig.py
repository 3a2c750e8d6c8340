"""Who we are on a Kubernetes API server: kubeconfigs, accounts, commands, certificates."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from certificates import Authority
from fake_kubernetes import FakeKubernetes
from rig_httproute import route

from console.control.errors import PlaneError
from console.control.plane import Answer, Change
from console.control.plane_settings import HttpRoutePlane
from console.control.planes.exec_credential import run_plugin
from console.control.planes.httproute import HttpRoute
from console.control.planes.kubeconfig import Plugin, access
from console.control.planes.kubernetes import Kubernetes
from console.control.split import Split

SECRET = "s3cr3t-token"  # noqa: S105 - of no server
_PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/fraud"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


Serve = Callable[..., FakeKubernetes]


@pytest.fixture
def serve(authority: Authority, tmp_path: Path) -> Iterator[Serve]:
    """A server with TLS and the route."""
    made: list[FakeKubernetes] = []

    def start(*hosts: str, clients: bool = False, token: str = SECRET) -> FakeKubernetes:
        context = authority.server(tmp_path, *(hosts or ("127.0.0.1",)), clients=clients)
        server = FakeKubernetes(context, token)
        made.append(server)
        server.put(route({"v1": 90, "v2": 10}))
        return server

    yield start
    for server in made:
        server.stop()


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def config(
    server: str, user: dict[str, Any] | None = None, namespace: str = "", **cluster: Any
) -> dict[str, Any]:
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "main", "context": context}],
    }


def written(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document) if path.suffix != ".json" else json.dumps(document))
    return path


def settings(**more: Any) -> HttpRoutePlane:
    given: dict[str, Any] = {"namespace": "ml", "name": "fraud", "rule": 1} | more
    return HttpRoutePlane(kind="httproute", **given)


def reads(path: Path, **more: Any) -> Split | None:
    """What a plane with this kubeconfig reads."""
    with HttpRoute(settings(kubeconfig=str(path), **more), ("v1", "v2"), path.parent) as plane:
        return plane.read().split


def problem(path: Path, **more: Any) -> str:
    """What it says instead: one line without a secret."""
    with pytest.raises(PlaneError) as caught:
        reads(path, **more)
    said = str(caught.value)
    assert said.isprintable(), repr(said)
    assert SECRET not in said
    return said


def address(server: FakeKubernetes, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{server.port}"


SPLIT = Split((("v1", 90), ("v2", 10)))


# --- kubeconfig ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config", "config.json"])
def test_a_token_and_an_authority(
    serve: Serve, authority: Authority, tmp_path: Path, name: str
) -> None:
    server = serve()
    ca = {"certificate-authority-data": b64(authority.pem)}
    path = written(tmp_path / name, config(address(server), {"token": SECRET}, **ca))
    assert reads(path) == SPLIT


def test_files_are_relative_to_the_kubeconfig(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    server = serve()
    folder = tmp_path / "kube"
    user = {"tokenFile": "token"}
    ca = {"certificate-authority": "ca.crt"}
    written(folder / "config", config(address(server), user, **ca))
    (folder / "ca.crt").write_bytes(authority.pem)
    (folder / "token").write_text(f"{SECRET}\n")
    with HttpRoute(settings(kubeconfig="kube/config"), ("v1", "v2"), tmp_path) as plane:
        assert plane.read().split == SPLIT
        server.token = "another"  # noqa: S105 - of no server
        with pytest.raises(PlaneError, match="Unauthorized; renew the credentials in"):
            plane.read()
        (folder / "token").write_text("another")  # it is renewed under our hands
        assert plane.read().split == SPLIT


@pytest.mark.parametrize("inline", [True, False])
def test_a_client_certificate(
    serve: Serve, authority: Authority, tmp_path: Path, inline: bool
) -> None:
    server = serve(clients=True, token="")
    certificate, key = authority.certificate("anna")
    user: dict[str, Any] = {"client-certificate": "anna.crt", "client-key": "anna.key"}
    (tmp_path / "anna.crt").write_bytes(certificate)
    (tmp_path / "anna.key").write_bytes(key)
    if inline:
        user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    ca = {"certificate-authority-data": b64(authority.pem)}
    assert reads(written(tmp_path / "config", config(address(server), user, **ca))) == SPLIT
    path = written(tmp_path / "none", config(address(server), {}, **ca))
    assert "127.0.0.1" in problem(path)


def test_an_authority_of_somebody_else_is_not_trusted(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    ca = {"certificate-authority-data": b64(Authority().pem)}
    path = written(tmp_path / "config", config(address(server), {"token": SECRET}, **ca))
    assert "cannot be trusted" in problem(path)
    assert server.seen == []


def test_another_name_in_the_certificate(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    server = serve("kube.example")
    ca = {"certificate-authority-data": b64(authority.pem)}
    path = written(tmp_path / "config", config(address(server), {"token": SECRET}, **ca))
    assert "cannot be trusted" in problem(path)
    ca["tls-server-name"] = "kube.example"
    path = written(tmp_path / "config", config(address(server), {"token": SECRET}, **ca))
    assert reads(path) == SPLIT


def test_what_the_configuration_says_comes_before(
    serve: Serve, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    ca = {"certificate-authority-data": b64(Authority().pem)}
    path = written(tmp_path / "config", config(address(server), {"token": "old"}, **ca))
    monkeypatch.setenv("MODELWATCH_TEST_TOKEN", SECRET)
    assert reads(path, ca_file="ca.crt", token_env="MODELWATCH_TEST_TOKEN") == SPLIT  # noqa: S106


def test_contexts_and_their_namespace(tmp_path: Path) -> None:
    document = config("https://one", {}, "shop")
    document["contexts"].append({"name": "b", "context": {"cluster": "d"}})
    document["clusters"].append({"name": "d", "cluster": {"server": "https://two/sub/"}})
    path = written(tmp_path / "config", document)
    found = access(settings(kubeconfig=str(path)), tmp_path, {})
    assert (found.server, found.namespace) == ("https://one", "shop")
    found = access(settings(kubeconfig=str(path), context="b"), tmp_path, {})
    assert (found.server, found.namespace) == ("https://two/sub", "")
    with pytest.raises(PlaneError, match="has no context 'x'; there is main, b"):
        access(settings(kubeconfig=str(path), context="x"), tmp_path, {})
    assert Kubernetes(settings(namespace="", kubeconfig=str(path)), tmp_path).namespace == "shop"


def test_several_kubeconfigs_are_one(tmp_path: Path) -> None:
    """The first that says a thing counts; what is not there is left out."""
    first = written(tmp_path / "a" / "config", {"current-context": "main", "clusters": None})
    second = written(tmp_path / "b" / "config", config("https://two", {"tokenFile": "t"}))
    third = written(tmp_path / "c" / "config", config("https://three"))
    listed = os.pathsep.join(str(p) for p in (first, tmp_path / "none", second, third))
    found = access(settings(), tmp_path, {"KUBECONFIG": listed})
    assert found.server == "https://two"
    assert found.token_file == str(tmp_path / "b" / "t")
    with pytest.raises(PlaneError, match="which is not there"):
        access(settings(), tmp_path, {"KUBECONFIG": str(tmp_path / "none")})


def test_the_usual_place_comes_before_the_pod(tmp_path: Path) -> None:
    pod = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(SECRET)
    assert access(settings(), tmp_path, pod, account).server == "https://10.0.0.1:443"
    written(tmp_path / ".kube" / "config", config("https://usual"))
    assert access(settings(), tmp_path, pod, account).server == "https://usual"


def test_neither_kubeconfig_nor_pod(tmp_path: Path) -> None:
    with pytest.raises(PlaneError, match="no kubeconfig, and this is no pod"):
        access(settings(), tmp_path, {"HOME": str(tmp_path)}, tmp_path)


@pytest.mark.parametrize(
    ("user", "cluster", "text"),
    [
        ({}, {"insecure-skip-tls-verify": True}, "does not check the server's certificate"),
        ({}, {"proxy-url": "http://p"}, "use `kubectl proxy`"),
        ({"as": "root", "token": SECRET}, {}, "acts as somebody else"),
        ({"as-groups": ["system:masters"]}, {}, "acts as somebody else"),
        ({"auth-provider": {"name": "gcp"}}, {}, "use an `exec` plugin"),
        ({"username": "x", "password": SECRET}, {}, "use a token or a certificate"),
        ({"client-certificate-data": "QQ=="}, {}, "go together"),
        ({"client-certificate-data": "\x1b[2J"}, {}, "client-certificate"),
        ({"token": {"a": SECRET}}, {}, "`token` is no text"),
        ({}, {"server": "ftp://x"}, "`server` is no address"),
        ({}, {"server": "https://a:s3cr3t-token@x"}, "`server` is no address"),
        ({}, {"certificate-authority": "gone.crt"}, "there is no file"),
        ({"exec": {"command": "x"}}, {}, "`apiVersion` must be"),
        ({"exec": []}, {}, "`exec` is no mapping"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], text: str
) -> None:
    document = config("https://127.0.0.1:1", user)
    document["clusters"][0]["cluster"] |= cluster
    assert text in problem(written(tmp_path / "config", document))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "is no kubeconfig"),
        (b"\x00\xff", "is no YAML"),
        (b"a: [s3cr3t-token", "is no YAML, line 1"),
        (b"!!python/object/apply:os.system ['touch owned']", "is no YAML"),
        (b"[" * 20_000, "is no YAML"),
        (b"current-context: 7", "has no current context"),
        (b"current-context: x\ncontexts: 7", "has no context 'x'"),
        (b"current-context: x\ncontexts: [7, {name: x, context: 7}]", "has no cluster ''"),
        (b"a: &a [x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 120)
        ), "has no current context"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_is_none(tmp_path: Path, body: bytes, text: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(body)
    assert text in problem(path)
    assert not Path("owned").exists()


def test_without_yaml_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "config", config("https://127.0.0.1:1"))
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'modelwatch[kubernetes]'" in problem(path)


# --- a pod --------------------------------------------------------------------------------------


def test_the_account_of_a_pod(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    server = serve()
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "namespace").write_text("ml\n")
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    pod["HOME"] = str(tmp_path)
    cluster = Kubernetes(settings(namespace=""), tmp_path, pod, tmp_path)
    assert cluster.namespace == "ml"
    assert cluster.get(_PATH).ok
    server.token = "next"  # noqa: S105 - of no server
    assert cluster.get(_PATH).status == 401
    (tmp_path / "token").write_text("next")  # the kubelet renews it
    assert cluster.get(_PATH).ok
    cluster.close()


# --- a command ----------------------------------------------------------------------------------


def command(tmp_path: Path, body: str) -> dict[str, Any]:
    """A command in Python that a kubeconfig names."""
    path = tmp_path / "bin" / "login"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./bin/login",
        "args": ["--for", "a b;$(x)"],
        "env": [{"name": "LOGIN", "value": "anna"}],
        "interactiveMode": "IfAvailable",
    }


_GIVES = """
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert sys.argv[1:] == ["--for", "a b;$(x)"] and os.environ["LOGIN"] == "anna", sys.argv
assert asked["spec"]["interactive"] is False
with open(__file__ + ".log", "a") as log:
    print(json.dumps(asked), file=log)
with open(__file__ + ".status") as status:
    answer = {"kind": "ExecCredential", "apiVersion": asked["apiVersion"]}
    print(json.dumps(answer | {"status": json.load(status)}))
"""


def runs(tmp_path: Path) -> list[Any]:
    log = tmp_path / "bin" / "login.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def gives(tmp_path: Path, **status: Any) -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin" / "login.status").write_text(json.dumps(status))


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_command_gives_a_token_once(
    serve: Serve, authority: Authority, tmp_path: Path, version: str
) -> None:
    server = serve()
    told = command(tmp_path, _GIVES)
    told |= {"apiVersion": f"client.authentication.k8s.io/{version}", "provideClusterInfo": True}
    gives(tmp_path, token=SECRET)
    ca = {"certificate-authority-data": b64(authority.pem)}
    path = written(tmp_path / "config", config(address(server), {"exec": told}, **ca))
    with HttpRoute(settings(kubeconfig=str(path)), ("v1", "v2"), tmp_path) as plane:
        assert runs(tmp_path) == []
        assert plane.read().split == SPLIT
        assert plane.read().split == SPLIT
        (asked,) = runs(tmp_path)
        assert asked["spec"]["cluster"]["server"] == address(server)
        assert b64(authority.pem) == asked["spec"]["cluster"]["certificate-authority-data"]
        server.token = "next"  # noqa: S105 - of no server
        gives(tmp_path, token="next")  # noqa: S106
        assert plane.read().split == SPLIT, "it is asked again when the server refuses"
        assert len(runs(tmp_path)) == 2


def test_what_a_command_gave_is_renewed_in_time(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    server = serve()
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    gives(tmp_path, token=SECRET, expirationTimestamp=soon)
    ca = {"certificate-authority-data": b64(authority.pem)}
    user = {"exec": command(tmp_path, _GIVES)}
    path = written(tmp_path / "config", config(address(server), user, **ca))
    with HttpRoute(settings(kubeconfig=str(path)), ("v1", "v2"), tmp_path) as plane:
        plane.read()
        n = len(runs(tmp_path))
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        gives(tmp_path, token=SECRET, expirationTimestamp=later)
        plane.read()
        assert len(runs(tmp_path)) == n + 1
        plane.read()
        assert len(runs(tmp_path)) == n + 1


def test_a_command_gives_a_certificate(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    server = serve(clients=True, token="")
    certificate, key = authority.certificate("anna")
    gives(tmp_path, clientCertificateData=certificate.decode(), clientKeyData=key.decode())
    ca = {"certificate-authority-data": b64(authority.pem)}
    user = {"exec": command(tmp_path, _GIVES)}
    path = written(tmp_path / "config", config(address(server), user, **ca))
    assert reads(path) == SPLIT


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("print('s3cr3t-token'); sys.exit('please log in\\x1b[2J')", "(exit 1): please log in"),
        ("print('s3cr3t-token')", "printed no ExecCredential"),
        ("print(json.dumps({'kind': 'ExecCredential', 'status': {}}))", "no ExecCredential"),
        ("print('[' * 100000)", "printed no ExecCredential"),
        ("sys.stdout.write('x' * 5_000_000)", "printed no ExecCredential"),
        ("os.kill(os.getpid(), 9)", "gave no credentials (exit -9)"),
    ],
)
def test_a_command_that_gives_nothing(tmp_path: Path, body: str, text: str) -> None:
    user = {"exec": command(tmp_path, body)}
    assert text in problem(written(tmp_path / "config", config("https://127.0.0.1:1", user)))


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    told = command(tmp_path, "") | {"command": "no-such-login", "installHint": "get it\x1b[2J"}
    said = problem(written(tmp_path / "config", config("https://127.0.0.1:1", {"exec": told})))
    assert "cannot run no-such-login for credentials" in said
    assert "get it" in said


def test_a_command_that_asks_is_refused(tmp_path: Path) -> None:
    told = command(tmp_path, _GIVES) | {"interactiveMode": "Always"}
    path = written(tmp_path / "config", config("https://127.0.0.1:1", {"exec": told}))
    assert "asks questions on a terminal" in problem(path)
    assert runs(tmp_path) == []


def ended(process: int) -> bool:
    """Whether a process is gone, or dead and not yet collected, soon."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
    return False


def test_a_command_without_end_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "client.authentication.k8s.io/v1"
    given = ("-c", "sleep 60 & echo $! > child; echo $$ > parent; wait")
    plugin = Plugin(told, "/bin/sh", given, (), None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlaneError, match="gave no credentials within 2 s"):
        run_plugin(plugin, os.environ, 2)
    for name in ("child", "parent"):
        assert ended(int((tmp_path / name).read_text()))


def test_a_change_is_not_sent_twice_when_credentials_end(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    server = serve()
    gives(tmp_path, token=SECRET)
    ca = {"certificate-authority-data": b64(authority.pem)}
    user = {"exec": command(tmp_path, _GIVES)}
    path = written(tmp_path / "config", config(address(server), user, **ca))

    def end() -> None:
        server.token = "next"  # noqa: S105 - of no server

    with HttpRoute(settings(kubeconfig=str(path)), ("v1", "v2"), tmp_path) as plane:
        seen = plane.read()
        server.meanwhile = [end]
        wanted = Change("c-1", seen.split, Split((("v1", 50), ("v2", 50))), seen.revision)
        receipt = plane.apply(wanted)
        assert receipt.answer is Answer.REJECTED
        assert SECRET not in receipt.detail
        assert sum(s.method == "PATCH" for s in server.seen) == 1
        gives(tmp_path, token="next")  # noqa: S106
        assert plane.apply(wanted).answer is Answer.ACKED


# --- kubectl proxy ------------------------------------------------------------------------------


def test_a_unix_socket(tmp_path: Path) -> None:
    """As `kubectl proxy` has it: whoever may open the socket is let in."""
    with FakeKubernetes() as server, _Forward(tmp_path / "proxy.sock", server.port):
        server.put(route({"v1": 90, "v2": 10}))
        made = settings(url="unix:proxy.sock")
        with HttpRoute(made, ("v1", "v2"), tmp_path) as plane:
            assert plane.name == f"HTTPRoute ml/fraud rule 1 at unix:{tmp_path}/proxy.sock"
            seen = plane.read()
            assert seen.split == SPLIT
            after = Split((("v1", 50), ("v2", 50)))
            wanted = Change("c-1", seen.split, after, seen.revision)
            assert plane.apply(wanted).answer is Answer.ACKED
        with (
            HttpRoute(settings(url="unix:gone.sock"), ("v1", "v2"), tmp_path) as plane,
            pytest.raises(PlaneError, match=r"kubectl proxy --unix-socket=.*/gone\.sock"),
        ):
            plane.read()


def test_a_real_kubectl_proxy(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    """kubectl understands our kubeconfig as we do, and passes our patches on as they are."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl on this machine")
    server = serve()
    ca = {"certificate-authority-data": b64(authority.pem)}
    path = written(tmp_path / "config", config(address(server), {"token": SECRET}, **ca))
    place = tmp_path / "k.sock"
    process = subprocess.Popen(
        [kubectl, "proxy", f"--kubeconfig={path}", f"--unix-socket={place}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "KUBECONFIG": str(path)},
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()  # it says so when it listens
        assert "Starting to serve" in said
        made = settings(url=f"unix:{place}")
        with HttpRoute(made, ("v1", "v2"), tmp_path) as plane:
            seen = plane.read()
            after = Split((("v1", 50), ("v2", 50)))
            wanted = Change("c-1", seen.split, after, seen.revision)
            assert list(plane.dry_run(wanted)) == []
            assert plane.apply(wanted).answer is Answer.ACKED
            assert (
                plane.apply(Change("c-2", seen.split, SPLIT, seen.revision)).answer
                is Answer.CONFLICT
            )
            assert plane.read().split == after
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Forward:
    """A unix socket before a port of 127.0.0.1."""

    def __init__(self, path: Path, port: int) -> None:
        self._port = port
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(8)
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()
