"""Configuration: one TOML file without secrets, environment overrides, secrets from credential files.

A setting's name, type, default and reason live here and nowhere else. Nothing here opens a connection.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.observability import logs

DEFAULT_CONFIG = Path("/etc/composer-mcp/config.toml")
ENVIRONMENT_PREFIX = "COMPOSER_MCP__"
PORTS = {"blue": 8101, "green": 8102}
ASYMMETRIC = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "EdDSA"]


class ConfigurationError(Exception):
    """The configuration cannot be used; the message tells the operator what to mend."""


class Section(BaseModel):
    """Base of all sections: a misspelt key is an error, never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebSettings(Section):
    """The HTTP side."""

    slot: Literal["blue", "green"] = "blue"
    drain_file: Path | None = Field(None, description="while it exists, /health/ready answers 503")
    workers: int = Field(2, ge=1, le=64, description="processes")
    keep_alive_seconds: int = Field(5, ge=1, description="short, so that a stop is not held up by idle links")
    graceful_seconds: int = Field(60, ge=1, description="time for calls under way when stopping")
    body_limit_bytes: int = Field(1024 * 1024, ge=1024)
    wait_seconds: float = Field(300, gt=0, description="longest a call waits for its job; the job goes on")


class DatabaseSettings(Section):
    """PostgreSQL; several hosts are tried until one accepts writes."""

    hosts: list[str] = Field(min_length=1, description="host:port, or a socket directory")
    name: str = "composer"
    user: str = "composer"
    owner: str = "composer_owner"
    authority: Path | None = Field(
        None, description="certificate authority; required unless all hosts are local"
    )
    pool_size: int = Field(10, ge=2)
    connect_seconds: float = Field(5, gt=0)
    statement_seconds: float = Field(10, gt=0)

    @model_validator(mode="after")
    def _encrypted_unless_local(self) -> DatabaseSettings:
        remote = [host for host in self.hosts if not is_local(host)]
        if remote and self.authority is None:
            raise ValueError(f"authority is required, because {remote[0]} is not on this machine")
        return self


class ObjectStoreSettings(Section):
    """Where artifacts are kept: ``s3://bucket`` or ``file:///folder``."""

    url: str = Field(pattern=r"^(s3|file)://.+")
    endpoint: str | None = None
    region: str = "us-east-1"
    authority: Path | None = None


class IssuerSettings(Section):
    """One party whose tokens are accepted."""

    issuer: str
    jwks_url: str
    authority: Path | None = Field(None, description="certificate authority; the system's when left out")
    algorithms: list[ASYMMETRIC] = Field(["ES256"], min_length=1)
    audience: str
    scope_claim: str = "scope"
    tenant_claim: str = "tenant"

    @model_validator(mode="after")
    def _keys_only_over_tls(self) -> IssuerSettings:
        if urlsplit(self.jwks_url).scheme != "https":
            raise ValueError(
                "jwks_url must begin with https://, because whoever serves the keys can forge tokens"
            )
        return self


class WorkerSettings(Section):
    """One worker process with one browser."""

    concurrency: int = Field(2, ge=2, le=32, description="jobs at a time")
    job_timeout_seconds: float = Field(120, gt=0, description="limit of one attempt at one job")
    heartbeat_seconds: float = Field(
        3, ge=1, description="a job without a sign of life for so long is taken over"
    )
    poll_seconds: float = Field(0.5, gt=0, description="how often an idle worker looks without being told")
    attempt_limit: int = Field(3, ge=1, description="a job that took down that many workers is given up")


class QueueSettings(Section):
    """Bounds of the queue and of what is remembered."""

    per_tenant_limit: int = Field(100, ge=1, description="jobs of one tenant that may wait")
    total_limit: int = Field(1000, ge=1)
    deadline_seconds: float = Field(300, gt=0, description="a job that has not started by then fails")
    retention_days: float = Field(
        30, gt=0, description="finished jobs, and with them idempotency keys, live so long"
    )


class MetricsSettings(Section):
    """Prometheus."""

    directory: Path | None = Field(
        None,
        description="shared by all processes of the host, so that /metrics of the web shows the workers too; "
        "$RUNTIME_DIRECTORY/metrics when left out",
    )


class LogSettings(Section):
    """Log lines on standard error."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    public_url: str = Field(
        pattern=r"^https?://[^/]+/mcp$", description="resource identifier of the endpoint"
    )
    allowed_hosts: list[str] = Field(min_length=1, description="Host headers that are answered")
    allowed_origins: list[str] = Field([], description="Origin headers that are answered")
    web: WebSettings = WebSettings()
    database: DatabaseSettings
    object_store: ObjectStoreSettings
    issuers: list[IssuerSettings] = Field(min_length=1)
    composer: ComposerSettings
    browser: BrowserSettings = BrowserSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment wins over the file, which :func:`load` hands over as initial values."""
        return env_settings, init_settings


def is_local(host: str) -> bool:
    """Whether a ``host:port`` of the configuration can only mean this machine."""
    return host.startswith("/") or host.rsplit(":", 1)[0] in {"127.0.0.1", "localhost", "[::1]"}


def load(path: Path) -> Settings:
    """Read the configuration.

    Raises:
        ConfigurationError: it is missing, unreadable, or has an unknown key or a wrong type.
    """
    try:
        values = TomlConfigSettingsSource(Settings, path)()
    except OSError as error:
        raise ConfigurationError(
            f"the configuration {path} cannot be read ({error.strerror}). "
            "Name another one with --config, or restore the file."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"the configuration {path} is not valid TOML: {error}.") from error
    if not path.exists():
        raise ConfigurationError(
            f"the configuration {path} does not exist. Name another one with --config, or restore the file."
        )
    _refuse_unknown_environment()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(path, error)) from error


def _refuse_unknown_environment() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX):
            section = name.removeprefix(ENVIRONMENT_PREFIX).split("__", 1)[0]
            if section not in known:
                raise ConfigurationError(
                    f"the environment variable {name} sets nothing: there is no section {section.lower()}. "
                    f"Known: {', '.join(sorted(known)).lower()}."
                )


def _explain(path: Path, error: ValidationError) -> str:
    lines = [f"the configuration {path} cannot be used:"]
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
        lines.append(f"  {key}: {_expectation(problem['type'], problem['msg'], problem['loc'])}")
    lines.append(
        "Mend these keys in the file, or the environment variables that override them. Nothing was started."
    )
    return "\n".join(lines)


def _expectation(kind: str, message: str, location: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        return "unknown key" + (f"; known here: {', '.join(known)}" if known else "")
    if kind == "missing":
        return "is required"
    return (
        message[:1].lower() + message[1:].removeprefix("alue error, ")
        if message.startswith("Value")
        else message
    )


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        arguments = getattr(annotation, "__args__", ())
        model = next((a for a in (annotation, *arguments) if hasattr(a, "model_fields")), None)
        if model is None:
            return []
    return sorted(model.model_fields)


class Credentials:
    """Secrets, one file each, in the folder that systemd (or ``--credentials``) names."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    @classmethod
    def find(cls, directory: Path | None) -> Credentials:
        """Use ``directory``, or the one systemd announces."""
        announced = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls(directory or (Path(announced) if announced else None))

    def path(self, name: str) -> Path:
        """Where a secret's file is.

        Raises:
            ConfigurationError: there is no such file.
        """
        if self.directory is None:
            raise ConfigurationError(
                f"the secret {name} is needed, but no credentials folder is known. "
                "Start the service through systemd, or pass --credentials FOLDER."
            )
        path = self.directory / name
        if not path.is_file():
            raise ConfigurationError(
                f"the secret {name} is missing in {self.directory}. "
                f"Add LoadCredential={name}:… to the unit, or put the file there."
            )
        return path

    def read(self, name: str) -> SecretStr:
        """Read a secret; a trailing line break does not belong to it.

        Raises:
            ConfigurationError: it is missing, unreadable or empty.
        """
        path = self.path(name)
        try:
            value = path.read_text().rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(f"the secret {path} cannot be read: {error.strerror}.") from error
        if not value:
            raise ConfigurationError(
                f"the secret {path} is empty; the process that writes it did not finish."
            )
        logs.hide(value)
        return SecretStr(value)
