"""Configuration: one TOML file without secrets, environment overrides, secrets from credential files.

A setting's name, type, default and reason live here and nowhere else. Nothing here opens a connection.
A configuration without ``[database]`` describes a server that runs alone; see ``alone``.
"""

from __future__ import annotations

import contextlib
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

from composer_mcp.alone.defaults import LOCAL_ISSUER, PORT, filled, is_local, local_issuer
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.configuration_errors import explain, unknown_variable
from composer_mcp.observability import logs

#: The first that exists is read when none is named.
DEFAULT_CONFIG = Path("/etc/composer-mcp/config.toml")
USER_CONFIG = Path("composer-mcp/config.toml")
ENVIRONMENT_PREFIX = "COMPOSER_MCP__"
PORTS = {"blue": PORT, "green": 8102}
PUT_IT_THERE = (
    "Put it there with: mkdir -p -m 700 {path.parent} && install -m 600 /dev/stdin {path} "
    "(paste it, Enter, Ctrl-D), or name another folder with --credentials."
)
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
    sessions: bool = Field(
        False,
        description="clients of the protocol before 2026 get a session, in which the server can ask them "
        "something while a call is under way; only where one process answers all calls",
    )

    @model_validator(mode="after")
    def _sessions_live_in_one_process(self) -> WebSettings:
        if self.sessions and self.workers != 1:
            raise ValueError(
                "sessions live in the memory of one process: set workers to 1, or sessions to false"
            )
        return self


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
        # The one exception is our own file of keys; Settings sees to it that only a server alone has it.
        if urlsplit(self.jwks_url).scheme != "https" and self.issuer != LOCAL_ISSUER:
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


class CompositionsSettings(Section):
    """Whose compositions are whose."""

    unowned: Literal["allow", "refuse"] = Field(
        "allow",
        description="whether a composition that no tenant owns, such as one made by hand in Composer, may be "
        "used by whoever has its whole uid; the first tenant that writes to it owns it from then on",
    )


class QueueSettings(Section):
    """Bounds of the queue and of what is remembered."""

    per_tenant_limit: int = Field(100, ge=1, description="jobs of one tenant that may wait")
    total_limit: int = Field(1000, ge=1)
    deadline_seconds: float = Field(300, gt=0, description="a job that has not started by then fails")
    input_seconds: float = Field(
        86400, gt=0, description="a job whose question nobody has answered by then fails"
    )
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
    database: DatabaseSettings | None = Field(
        None, description="without it the server runs alone and keeps everything in state_directory"
    )
    state_directory: Path | None = Field(
        None,
        description="only without [database]; $STATE_DIRECTORY or ~/.local/state/composer-mcp when left out",
    )
    object_store: ObjectStoreSettings
    issuers: list[IssuerSettings] = Field(min_length=1)
    composer: ComposerSettings
    browser: BrowserSettings = BrowserSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()
    compositions: CompositionsSettings = CompositionsSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="before")
    @classmethod
    def _places_on_this_machine(cls, values: Any) -> Any:
        """Without a database, give everything that is left out its place on this machine."""
        if not isinstance(values, dict) or values.get("database") is not None:
            return values
        return filled(values)

    @model_validator(mode="after")
    def _either_alone_or_not(self) -> Settings:
        local = [issuer for issuer in self.issuers if issuer.issuer == LOCAL_ISSUER]
        if self.database is None:
            if self.web.workers != 1:
                raise ValueError(
                    "web.workers must be left out without [database]: a server that runs alone is one process"
                )
            own = IssuerSettings(**local_issuer(self.state))
            if local not in ([], [own]):
                raise ValueError(f"the issuer {LOCAL_ISSUER} is the server's own and cannot be configured")
            return self
        if self.state_directory is not None:
            raise ValueError(
                "state_directory and [database] exclude each other: with a database nothing is kept on this "
                "machine. Remove one of them"
            )
        if local:
            raise ValueError(f"the issuer {LOCAL_ISSUER} is only for a server without [database]")
        return self

    @property
    def alone(self) -> bool:
        """Whether this server runs without a database, in one process."""
        return self.database is None

    @property
    def postgresql(self) -> DatabaseSettings:
        """The database.

        Raises:
            ConfigurationError: the server runs alone.
        """
        if self.database is None:
            raise ConfigurationError(
                "this needs a database, and the configuration has no section [database]. A server without "
                "one runs alone: start it with composer-mcp serve or composer-mcp stdio, which do the jobs "
                "themselves and need no worker and no migration."
            )
        return self.database

    @property
    def state(self) -> Path:
        """Where a server that runs alone keeps everything.

        Raises:
            ConfigurationError: the server does not run alone.
        """
        if self.state_directory is None:
            raise ConfigurationError(
                "this is for a server that runs alone, and the configuration has a section [database]. "
                "Use a configuration without that section (--config), or the commands serve and worker."
            )
        return self.state_directory

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


def find_config() -> Path | None:
    """Return the configuration that is read when none is named; ``None`` if there is none."""
    places = [DEFAULT_CONFIG]
    # A service without a home has no configuration of its own.
    with contextlib.suppress(RuntimeError):
        base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        places.append(base / USER_CONFIG)
    return next(filter(_is_there, places), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # Whoever may not read it is told so: another one would be a surprise.


def load(path: Path | None, *, bind: str | None = None) -> Settings:
    """Read the configuration; without a file, from the environment alone.

    ``bind`` is the address:port at which a server that runs alone will answer, if it was told one.

    Raises:
        ConfigurationError: it is missing, unreadable, or has an unknown key or a wrong type.
    """
    values = {} if path is None else _read(path)
    if bind is not None and "database" not in values:
        values.setdefault("public_url", f"http://{bind}/mcp")
    mistake = unknown_variable(ENVIRONMENT_PREFIX, Settings)
    if mistake is not None:
        raise ConfigurationError(mistake)
    try:
        return Settings(**values)
    except ValidationError as error:
        heading = f"the configuration {path} cannot be used:"
        if path is None:
            heading = (
                f"there is no configuration: neither {DEFAULT_CONFIG} nor ~/.config/{USER_CONFIG} exists, "
                "none was named with --config, and the environment is not enough:"
            )
        raise ConfigurationError(explain(heading, error, Settings)) from error


def _read(path: Path) -> dict[str, Any]:
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
    return values


class Credentials:
    """Secrets, one file each, in the folder that systemd (or ``--credentials``) names."""

    def __init__(self, directory: Path | None, remedy: str = "Put the file there.") -> None:
        self.directory = directory
        self._remedy = remedy

    @classmethod
    def find(cls, directory: Path | None, default: Path | None = None) -> Credentials:
        """Use ``directory``, or the one systemd announces, or ``default``, which is the user's own."""
        announced = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None and announced:
            return cls(Path(announced), "Add LoadCredential={name}:… to the unit.")
        return cls(default, PUT_IT_THERE) if directory is None else cls(directory)

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
            remedy = self._remedy.format(name=name, path=path)
            raise ConfigurationError(f"the secret {name} is missing in {self.directory}. {remedy}")
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
