"""What a control plane brings along to be tried by the contract suite.

That is `test_plane_contract.py` and `test_contract_faults.py`.

To add a plane, write `rig_<kind>.py` in this folder with one class `<Anything>Rig(Rig)`: the suite
finds it by its name. Nothing else is to be registered. A rig is started once per test process
(`start`), set back before each test (`reset`) and stopped at the end, also when a test fails.

    class EnvoyRig(Rig):
        kind = "envoy"
        arms = ("v1", "v2", "v3")
        ...

What a rig must have: `kind`, `start`, `stop`, `reset`, `plane`, `truth`, `change_behind`. What it
may have: `proxies`, `serve`, `restart`, `secret`; without them, the tests that need them are
skipped and say so. A plane of one replica leaves `replica_names` as it is.

Rules
- `truth` and `change_behind` go to the server or file itself, not through the plane's code and not
  through `proxies`: they are the independent witness.
- Servers listen on 127.0.0.1 at a free port and are ended by their process id in `stop`.
- No sleeps: poll a condition with a deadline (`servers.until`).
- A plane goes to its server through `proxies`, one `FaultyProxy` for each replica, in the order of
  the replicas. `reset` need not touch them: the suite sets them back to PASS.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from faulty_proxy import FaultyProxy

from console.control.plane import ControlPlane
from console.control.split import Split

__all__ = ["Rig"]


class Rig(ABC):
    """One kind of plane with its real server (or file), for tests. folder: for its files."""

    kind: ClassVar[str]
    """As in the configuration and in `PLANES`."""

    arms: ClassVar[tuple[str, ...]] = ("v1", "v2", "v3")
    """All arms that the server has. With two only, tests of a missing arm are skipped."""

    initial: ClassVar[Mapping[str, int]] = {"v1": 100, "v2": 0, "v3": 0}
    """The split after `reset`, as `truth` shows it."""

    replicas: ClassVar[int] = 1

    secret: ClassVar[str] = ""
    """A token or header value that planes are given; it must never be shown."""

    can_restart: ClassVar[bool] = False
    """Whether `restart` does something."""

    serves: ClassVar[bool] = False
    """Whether `serve` sends real requests."""

    many: ClassVar[int] = 1000
    """Changes under load in the long test; fewer where each takes the server its time."""

    knows_names: ClassVar[bool] = True
    """Whether the server calls arms by name; else by their place only."""

    exact: ClassVar[bool] = False
    """Whether requests are divided by turns, so that shares of many are exact; else by chance."""

    write_marks: ClassVar[tuple[bytes, ...]] = ()
    """What tells a changing request from a reading one, like b"runtime_modify"; one is enough.

    () for a plane that writes a file and reads over connections."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proxies: tuple[FaultyProxy, ...] = ()
        """Between plane and server, one for each replica; () for a file."""

    def start(self) -> None:  # noqa: B027 - a file needs nothing
        """Start what is needed."""

    def stop(self) -> None:  # noqa: B027 - nor is there anything to end
        """End what was started, whatever has happened."""

    @abstractmethod
    def reset(self) -> None:
        """Back to `initial` on every replica, with no change id, running and healthy."""

    @abstractmethod
    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> ControlPlane:
        """A new plane with `arms` (all, when None), through `proxies`."""

    @abstractmethod
    def truth(self) -> tuple[Mapping[str, int], ...]:
        """Weights by arm of each replica, as the server or file itself says."""

    @abstractmethod
    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        """What another operator does: set these weights, on one replica or on all (None)."""

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        """Send n requests and say which arm answered how many ("" for an answer of none)."""
        raise NotImplementedError

    def restart(self, replica: int = 0) -> None:
        """End the server hard and start it again with its own configuration."""
        raise NotImplementedError

    # --- what the suite asks ------------------------------------------------------------------

    def split(self, *weights: int) -> Split:
        """Weights for the arms in order; those that are not said are 0."""
        padded = (*weights, *([0] * (len(self.arms) - len(weights))))
        return Split(tuple(zip(self.arms, padded, strict=True)))

    def is_write(self, request: bytes) -> bool:
        """Whether a request changes something."""
        return any(mark in request for mark in self.write_marks)
