"""Sources that are asked: what such a source must be able to do, and which one is which.

A source gives pages. A page is a file of records and the cursor behind it, which the store keeps in
the transaction of the page's rows. So whatever happens between two pages, the next look begins
where the store is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Self

from collectors.contract import FileFormat
from collectors.source_settings import (
    BucketSource,
    HttpSource,
    MlflowSource,
    PrometheusSource,
    Source,
    SqlSource,
)

__all__ = ["Page", "Puller", "open_puller"]


@dataclass(frozen=True, slots=True)
class Page:
    """Records of a source in a file of its own, and the cursor once they are loaded.

    source: what the store calls the place that they come from. alone: a place of its own, so that
    one that cannot be loaded holds up no other.
    """

    source: str
    path: Path
    cursor: str
    format: FileFormat = FileFormat.AUTO
    alone: bool = False


class Puller(ABC):
    """Asks one source; for one thread. Close it, or use it as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """What is new, one page after the other; a page's file may go once the next is asked for.

        known: cursor by source, of what the store has. folder: a place for files. now: aware UTC.
        Raises SourceError; what was given before counts.
        """

    @abstractmethod
    def close(self) -> None:
        """End its connections."""


_MODULES: Mapping[type[Source], str] = {
    HttpSource: "http",
    PrometheusSource: "prometheus",
    SqlSource: "sql",
    BucketSource: "bucket",
    MlflowSource: "mlflow",
}


def open_puller(source: Source, base: Path) -> Puller:
    """What asks a source. base: the folder that files of secrets are relative to.

    Raises SourceError when a secret or an extra is missing.
    """
    module = import_module(f"collectors.sources.{_MODULES[type(source)]}")
    puller: Puller = module.open_source(source, base)
    return puller
