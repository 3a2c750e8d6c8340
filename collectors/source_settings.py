"""Where records come from, as a configuration says it: files, servers, tables, object stores.

Every source has the same place in a configuration; which keys it has tells which one it is. Secrets
are never among them: a key that ends in `_env` names a variable of the environment, and one that
ends in `_file` a file, that holds the secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from collectors.durations import Duration

__all__ = [
    "SOURCE_TAGS",
    "AnySource",
    "BucketSource",
    "FileFormat",
    "FileSource",
    "HttpSource",
    "MlflowSource",
    "Model",
    "PrometheusSource",
    "PushSource",
    "Source",
    "SqlDriver",
    "SqlSource",
    "kind_of_source",
]


class Model(BaseModel):
    """A part of a configuration: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileFormat(StrEnum):
    """How a file is read; auto goes by its first bytes, then by its name.

    The first three are tables. The others are records of a serving platform, which may lie in any
    of the three.
    """

    AUTO = "auto"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    SAGEMAKER = "sagemaker"
    AZUREML = "azureml"
    KSERVE = "kserve"
    SELDON = "seldon"
    DATABRICKS = "databricks"
    VERTEX = "vertex"
    BENTOML = "bentoml"

    @property
    def is_platform(self) -> bool:
        """Whether it says what a record means, not only how a table is written."""
        return self not in (self.AUTO, self.CSV, self.JSONL, self.PARQUET)


class Source(Model):
    """What all sources have. every: how often a recorder looks; left out: at each pass."""

    every: Duration | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Its files; a source elsewhere has none."""
        return ()

    @property
    def shown(self) -> str:
        """Its name on screens and in the store, without a secret."""
        return ", ".join(self.paths)


class FileSource(Source):
    """Files to read: paths, globs or folders, relative to the configuration file.

    A path alone may be written instead of a table.
    """

    path: str | tuple[str, ...]
    format: FileFormat = FileFormat.AUTO

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @property
    def paths(self) -> tuple[str, ...]:
        """All given paths, as a tuple."""
        return (self.path,) if isinstance(self.path, str) else self.path


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must begin with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("a password does not belong into the configuration; use `token_env`")
    return value


class WebSource(Source):
    """What is asked over HTTP. token_env, token_file: where the bearer token is.

    headers: name -> variable of the environment with the value. timeout: of one request.
    """

    every: Duration | None = timedelta(seconds=15)
    token_env: str = ""
    token_file: str = ""
    headers: dict[str, str] = {}
    timeout: Duration = timedelta(seconds=30)
    ca_file: str = ""

    @field_validator("headers")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, variable in value.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name):
                raise ValueError(f"{name!r} is no name of a header")
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
                raise ValueError(
                    f"give the environment variable with the value of {name}, not the value"
                )
        return value


class HttpSource(WebSource):
    """Records that a server gives as JSON, JSON lines or CSV, page by page.

    records: where in a JSON body the list of records is ("data.items"); empty: the body is it.
    next: where the body says which page follows, sent as the parameter `next_param`; a `Link`
    header of rel="next" is followed by itself. since_param: the parameter that takes a time (or
    number), `since_field`: the field of a record that it is about, `overlap`: how far back it
    reaches once more, for rows that came late. start: its first value.
    """

    url: str
    format: FileFormat = FileFormat.AUTO
    records: str = ""
    next: str = ""
    next_param: str = "cursor"
    since_param: str = ""
    since_field: str = ""
    start: str = ""
    overlap: Duration = timedelta(minutes=5)
    params: dict[str, str] = {}

    _address = field_validator("url")(_web_address)

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.since_param) != bool(self.since_field):
            raise ValueError("`since_param` and `since_field` belong together")
        return self

    @property
    def shown(self) -> str:
        """Without its query, which may hold a key."""
        return self.url.partition("?")[0]


class SqlDriver(StrEnum):
    """Databases that are read through ADBC; each is an extra of the same name."""

    POSTGRESQL = "postgresql"
    SNOWFLAKE = "snowflake"
    BIGQUERY = "bigquery"
    FLIGHTSQL = "flightsql"
    SQLITE = "sqlite"


class SqlSource(Source):
    """Rows of a query, by a watermark: a column that only rises, a time or a number.

    uri_env, uri_file: where the address with its password is. start: the watermark to begin with.
    overlap: how far back each look reaches once more, for rows that were committed late; of a
    number, `overlap_rows` is taken off it. options: further options of the driver.
    """

    sql: Annotated[str, Field(min_length=1)]
    driver: SqlDriver = SqlDriver.POSTGRESQL
    uri_env: str = ""
    uri_file: str = ""
    watermark: Annotated[str, Field(min_length=1)]
    start: str = ""
    overlap: Duration = timedelta(minutes=10)
    overlap_rows: Annotated[int, Field(ge=0)] = 0
    options: dict[str, str] = {}
    name: str = ""
    every: Duration | None = timedelta(seconds=30)

    @model_validator(mode="after")
    def _address(self) -> Self:
        if bool(self.uri_env) == bool(self.uri_file):
            raise ValueError("give the address of the database in `uri_env` or in `uri_file`")
        return self

    @property
    def shown(self) -> str:
        """The given name, else where its address is."""
        return f"{self.driver.value} {self.name or self.uri_env or self.uri_file}"


class BucketSource(Source):
    """Files under a prefix of an S3-compatible bucket. endpoint: empty for AWS.

    Credentials come from where the AWS tools look: environment, profile, instance.
    suffix: only objects that end so.
    """

    bucket: Annotated[str, Field(min_length=1)]
    prefix: str = ""
    suffix: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    format: FileFormat = FileFormat.AUTO
    every: Duration | None = timedelta(seconds=60)

    @property
    def shown(self) -> str:
        """As the AWS tools write it."""
        return f"s3://{self.bucket}/{self.prefix}"


class PushSource(Source):
    """Records that a serving system sends to `modelwatch record --listen`."""

    push: Literal[True]
    format: FileFormat = FileFormat.AUTO

    @property
    def shown(self) -> str:
        """What it is."""
        return "pushed records"


class PrometheusSource(WebSource):
    """System metrics of a Prometheus server, by its HTTP API.

    preset: which serving system's metrics are asked for. selector: label matchers that every query
    gets, as in {namespace="ml"}, without braces. version: the label that tells model versions
    apart; empty takes the preset's. queries: metric -> PromQL, in place of the preset's or beside
    it. step: between samples. back: how far back the first look reaches.
    """

    prometheus: str
    preset: str = ""
    selector: str = ""
    version: str | None = None
    queries: dict[str, Annotated[str, Field(min_length=1)]] = {}
    step: Duration = timedelta(seconds=30)
    back: Duration = timedelta(hours=6)
    rate: Duration = timedelta(minutes=2)

    _address = field_validator("prometheus")(_web_address)

    @model_validator(mode="after")
    def _some(self) -> Self:
        from collectors.sources.prometheus_presets import PRESETS  # noqa: PLC0415 - no cycle

        if self.preset and self.preset not in PRESETS:
            raise ValueError(f"there is no preset {self.preset!r}; there is {', '.join(PRESETS)}")
        if not self.preset and not self.queries:
            raise ValueError("give a `preset` or `queries`")
        return self

    @property
    def shown(self) -> str:
        """The server and what is asked of it."""
        asked = f"{self.prometheus.partition('?')[0]} {self.preset or 'queries'}"
        return f"{asked} {{{self.selector.strip()}}}" if self.selector.strip() else asked


class MlflowSource(WebSource):
    """Aliases of a registered model of MLflow; a change of one is a change event.

    models: names in the registry.
    """

    mlflow: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]

    _address = field_validator("mlflow")(_web_address)

    @property
    def shown(self) -> str:
        """The server."""
        return f"{self.mlflow.partition('?')[0]} {', '.join(self.models)}"


_BY_KEY = {
    "path": FileSource,
    "url": HttpSource,
    "sql": SqlSource,
    "bucket": BucketSource,
    "push": PushSource,
}


def kind_of_source(value: Any) -> str:
    """Which source a table of keys is, by the key that only that one has; files if none."""
    if isinstance(value, dict):
        return next((key for key in _BY_KEY if key in value), "path")
    found = (key for key, kind in _BY_KEY.items() if isinstance(value, kind))
    return next(found, "path")


SOURCE_TAGS = frozenset({*_BY_KEY, "prometheus"})
"""What pydantic puts into the place of an error to say which source it took a table for."""

AnySource = Annotated[
    Annotated[FileSource, Tag("path")]
    | Annotated[HttpSource, Tag("url")]
    | Annotated[SqlSource, Tag("sql")]
    | Annotated[BucketSource, Tag("bucket")]
    | Annotated[PushSource, Tag("push")],
    Discriminator(kind_of_source),
]
"""A source of predictions or labels, told apart by its keys."""
