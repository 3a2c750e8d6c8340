"""Files under a prefix of an S3-compatible bucket.

The bucket is listed, a thousand objects a request, and what is not as the store knows it is
fetched: an object's cursor is its ETag and size. Objects are read in the order of their names. One
that cannot be read does not keep the others back.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from collectors.errors import CollectorError, SourceError
from collectors.source_settings import BucketSource, FileFormat
from collectors.sources.files import format_of
from collectors.sources.pulled import Page, Puller
from collectors.sources.streams import PACKED
from collectors.text import clean

__all__ = ["BucketPuller", "open_source"]

_PIECE = 1024 * 1024
_LARGEST = 4 * 1024**3
_ROOM = 256 * 1024 * 1024
"""Bytes of the disk that stay free."""

_KNOWN = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".log")
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_GONE = ("NoSuchKey", "404", "412", "PreconditionFailed")
"""An object that is another one since it was listed; the next look sees how it is."""

_HINTS: Mapping[str, str] = {
    "NoSuchBucket": "check `bucket`",
    "PermanentRedirect": "give its `region`",
    "AuthorizationHeaderMalformed": "give its `region`",
    "AccessDenied": "the credentials need s3:ListBucket and s3:GetObject there",
    "403": "the credentials need s3:ListBucket and s3:GetObject there",
    "AllAccessDisabled": "the credentials need s3:ListBucket and s3:GetObject there",
    "InvalidAccessKeyId": "check the credentials",
    "SignatureDoesNotMatch": "check the credentials",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "check the credentials",
    "SlowDown": "it is asked too often; it will be asked again later",
    "503": "the server has a problem; it will be asked again later",
    "InvalidObjectState": "it is archived; restore it, or narrow `prefix`",
}


_OF_ALL = (
    *("SlowDown", "503", "ServiceUnavailable", "500", "InternalError", "RequestTimeout"),
    *("ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
)
"""What goes wrong with every object, so that the next one need not be asked for."""


class _ServerError(SourceError):
    """The server gives nothing at all."""


@dataclass(frozen=True, slots=True)
class _Object:
    key: str
    mark: str
    size: int
    etag: str
    archived: bool


def open_source(source: BucketSource, base: Path) -> BucketPuller:
    """What asks this source. Raises SourceError when boto3 is missing or no client can be made."""
    return BucketPuller(source, base)


class BucketPuller(Puller):
    """Asks one object store; for one thread."""

    def __init__(self, source: BucketSource, _base: Path) -> None:
        self._source = source
        try:
            boto3, botocore = import_module("boto3"), import_module("botocore.exceptions")
            config = import_module("botocore.config").Config(
                connect_timeout=10,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path" if source.endpoint else "auto"},
                # other servers than AWS do not know the newer checksums
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
        except ImportError:
            what = "reading a bucket needs boto3"
            raise SourceError(what, "pip install 'modelwatch[s3]'") from None
        for name in ("boto3", "botocore", "s3transfer", "urllib3"):  # they log session tokens
            logging.getLogger(name).setLevel(logging.WARNING)
        self._errors: Any = botocore
        with self._sentences("a client"):
            session = boto3.Session(
                profile_name=source.profile or None, region_name=source.region or None
            )
            self._client = session.client("s3", endpoint_url=source.endpoint or None, config=config)

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """Each object that is new or changed. Raises SourceError, for single ones at the end."""
        first: SourceError | None = None
        n_failed = 0
        for found in self._listed():
            name = f"s3://{self._source.bucket}/{found.key}"
            if known.get(name) == found.mark:
                continue
            try:
                path = self._fetched(found, name, folder)
                if path is not None:
                    self._check_form(path, name)
            except _ServerError:
                raise
            except SourceError as error:
                first, n_failed = first or error, n_failed + 1
                continue
            if path is not None:
                yield Page(name, path, found.mark, self._source.format, alone=True)
                path.unlink(missing_ok=True)
        if first is not None:
            more = f" (and {n_failed - 1} more objects)" if n_failed > 1 else ""
            raise SourceError(first.message + more, first.hint, partial=True)

    # --- requests ----------------------------------------------------------------------------

    def _listed(self) -> Iterator[_Object]:
        source = self._source
        with self._sentences(source.shown):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=source.bucket, Prefix=source.prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    key, size = str(entry["Key"]), int(entry["Size"])
                    if size and self._wanted(key):
                        etag = str(entry.get("ETag", "")).strip('"')
                        mark = f"{etag or entry.get('LastModified', '')}:{size}"[:200]
                        archived = str(entry.get("StorageClass")) in _ARCHIVED
                        yield _Object(key, mark, size, etag, archived)

    def _wanted(self, key: str) -> bool:
        """Whether an object is a log, as for the files of a folder; services write some without a
        suffix."""
        source = self._source
        if key.endswith("/") or not key.endswith(source.suffix):
            return False
        inside = key[source.prefix.rfind("/") + 1 :].split("/")
        if any(part.startswith((".", "_")) for part in inside):
            return False
        if source.suffix or source.format is not FileFormat.AUTO:
            return True
        return "." not in inside[-1] or _suffix(key) in _KNOWN

    def _fetched(self, found: _Object, name: str, folder: Path) -> Path | None:
        """The object as a file; None when it is no longer as it was listed. Raises SourceError."""
        shown = clean(name, 300)
        if found.archived:
            raise SourceError(f"{shown} is archived", _HINTS["InvalidObjectState"])
        if found.size > _LARGEST:
            raise SourceError(f"{shown} has more than {_LARGEST / 2**30:g} GiB", "split it")
        if found.size > shutil.disk_usage(folder).free - _ROOM:
            raise SourceError(f"there is no room for {shown} in {folder}", "set TMPDIR elsewhere")
        path = _place(found.key, folder)
        condition = {"IfMatch": f'"{found.etag}"'} if found.etag else {}
        with self._sentences(shown):
            try:
                answer = self._client.get_object(
                    Bucket=self._source.bucket, Key=found.key, **condition
                )
            except self._errors.ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
            size = 0
            with closing(answer["Body"]) as body, path.open("wb") as file:
                for piece in body.iter_chunks(_PIECE):
                    size += len(piece)
                    if size > found.size:
                        break
                    file.write(piece)
        if size != found.size:
            raise SourceError(f"{shown} did not come whole", "it is asked for again")
        return _unpackable(path)

    def _check_form(self, path: Path, name: str) -> None:
        """What cannot be loaded at all is told here, so that it holds no other object up."""
        wanted = self._source.format
        try:
            form = format_of(path, FileFormat.AUTO if wanted.is_platform else wanted)
        except CollectorError as error:
            path.unlink()
            raise SourceError(error.message.replace(str(path), clean(name, 300))) from None
        with path.open("rb") as file:
            file.seek(-min(4, path.stat().st_size), os.SEEK_END)
            if form is FileFormat.PARQUET and file.read() != b"PAR1":
                path.unlink()
                raise SourceError(f"{clean(name, 300)} is no whole Parquet file")

    @contextmanager
    def _sentences(self, what: str) -> Iterator[None]:
        """Errors of boto3 as sentences. Their own text is left out: it may hold credentials."""
        errors = self._errors
        try:
            yield
        except errors.ClientError as error:
            code = _code(error)
            error_type = _ServerError if code in _OF_ALL else SourceError
            raise error_type(f"{what}: the server answered {code}", _HINTS.get(code, "")) from None
        except (errors.NoCredentialsError, errors.PartialCredentialsError):
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a `profile`"
            raise _ServerError(f"{what}: there are no credentials", hint) from None
        except errors.ProfileNotFound:
            what = f"there is no profile {clean(self._source.profile)!r}"
            raise SourceError(what, "check `profile` and ~/.aws/config") from None
        except errors.SSLError:
            hint = "AWS_CA_BUNDLE names a file of authorities"
            raise _ServerError(f"{what}: its certificate cannot be trusted", hint) from None
        except (errors.HTTPClientError, errors.ConnectionError):
            where = f" at {self._source.endpoint}" if self._source.endpoint else ""
            hint = "is it up, is `endpoint` right?"
            raise _ServerError(f"{what}: cannot reach the server{where}", hint) from None
        except (errors.BotoCoreError, ValueError) as error:
            kind = type(error).__name__
            raise SourceError(f"{what} cannot be read: {kind}", "check its keys") from None


def _code(error: Any) -> str:
    found = error.response.get("Error", {}).get("Code", "")
    return clean(found or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""), 60)


def _suffix(key: str) -> str:
    """The suffix that says the format, without that of packing, in small letters."""
    suffixes = [s.lower() for s in PurePosixPath(key).suffixes if s.lower() not in PACKED]
    return suffixes[-1] if suffixes else ""


def _place(key: str, folder: Path) -> Path:
    """Where an object is put: its folders that say a column (`day=1`), and a name of ours."""
    for part in PurePosixPath(key).parent.parts[:20]:
        name, equals, _ = part.partition("=")
        if equals and name and len(part.encode()) < 200 and "\0" not in part:
            folder = folder / part
    folder.mkdir(parents=True, exist_ok=True)
    suffix = _suffix(key)
    packed = PurePosixPath(key).suffix.lower()
    known = suffix if suffix in _KNOWN else ""
    return folder / f"object{known}{packed if packed in PACKED else ''}"


def _unpackable(path: Path) -> Path:
    """The file with the suffix of its packing, which not every service writes."""
    with path.open("rb") as file:
        head = file.read(4)
    packed = next((end for magic, end in _MAGIC.items() if head.startswith(magic)), "")
    if packed and path.suffix != packed:
        return path.rename(path.with_name(path.name + packed))
    return path
