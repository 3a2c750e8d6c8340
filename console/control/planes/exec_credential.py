"""Credentials that a command gives, as kubeconfigs of EKS, GKE and AKS name one.

The command is the one that the user's kubeconfig names; it is run without a shell, without a
terminal and with an end. What it gave is kept until it expires or the server refuses it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.planes.kubeconfig import Plugin

__all__ = ["Given", "run_plugin"]

_LARGEST = 1024 * 1024
_EARLY = timedelta(seconds=30)
"""A token that ends while a request is under way is as good as none."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a command gave. certificate, key: in PEM. until: when it ends; None for nobody knows."""

    token: str
    certificate: bytes = b""
    key: bytes = b""
    until: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it can still be used."""
        return self.until is None or now < self.until - _EARLY


def run_plugin(plugin: Plugin, environment: Mapping[str, str], timeout: float) -> Given:
    """Run the command. Raises PlaneError with what it complained of, never what it printed."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    asked = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec}
    given = dict(environment) | dict(plugin.environment)
    given["KUBERNETES_EXEC_INFO"] = json.dumps(asked)
    name = clean(plugin.command, 150)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            # into files: a child of it that lives on would hold a pipe open
            process = subprocess.Popen(  # noqa: S603 - the user's kubeconfig names it
                [plugin.command, *plugin.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=given,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            hint = f"; {plugin.hint}" if plugin.hint else ""
            raise PlaneError(f"cannot run {name} for credentials: {clean(said)}{hint}") from None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise PlaneError(f"{name} gave no credentials within {timeout:g} s") from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code != 0:
            said = clean(_read(err)[-600:].decode("utf-8", "replace").strip(), 300)
            what = f"{name} gave no credentials (exit {code})"
            raise PlaneError(f"{what}: {said}" if said else what)
        return _given(_read(out), plugin, name)


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_LARGEST + 1)


def _given(body: bytes, plugin: Plugin, name: str) -> Given:
    try:
        found = json.loads(body[:_LARGEST])
        status = found["status"]
        if found["kind"] != "ExecCredential" or found["apiVersion"] != plugin.version:
            raise ValueError
        token = status.get("token") or ""
        certificate = status.get("clientCertificateData") or ""
        key = status.get("clientKeyData") or ""
        if not all(isinstance(v, str) for v in (token, certificate, key)):
            raise TypeError
        if not token and not (certificate and key):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PlaneError(f"{name} printed no ExecCredential of {plugin.version}") from None
    until = _time(status.get("expirationTimestamp"))
    return Given(token, certificate.encode(), key.encode(), until)


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
