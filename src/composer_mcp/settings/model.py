"""The whole configuration, and how it is found and read.

A configuration without ``[database]`` describes a server that runs alone; see ``alone``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from composer_mcp.alone.defaults import LOCAL_ISSUER, filled, local_issuer
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.observability.settings import ReportsSettings, TracesSettings
from composer_mcp.places import DEFAULT_CONFIG as DEFAULT_CONFIG
from composer_mcp.places import PORTS as PORTS
from composer_mcp.places import USER_CONFIG as USER_CONFIG
from composer_mcp.runtime.settings import IntakeSettings
from composer_mcp.settings.explain import ConfigurationError, explain, unknown_variable
from composer_mcp.settings.sections import (
    AccessSettings,
    CompositionsSettings,
    DatabaseSettings,
    IssuerSettings,
    LogSettings,
    MetricsSettings,
    ObjectStoreSettings,
    QueueSettings,
    WebSettings,
    WorkerSettings,
)

ENVIRONMENT_PREFIX = "COMPOSER_MCP__"


@dataclass(frozen=True, slots=True)
class Given:
    """What was written by hand, unchecked: in the file, and in the environment; all else is a default."""

    file: Mapping[str, Any]
    environment: Mapping[str, Any]


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
    access: AccessSettings = AccessSettings()
    composer: ComposerSettings
    browser: BrowserSettings = BrowserSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()
    intake: IntakeSettings = IntakeSettings()
    compositions: CompositionsSettings = CompositionsSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()
    reports: ReportsSettings = ReportsSettings()

    _given: Given = PrivateAttr(Given({}, {}))

    @property
    def given(self) -> Given:
        """Where the values come from."""
        return self._given

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
    written = {} if path is None else _read(path)
    values = dict(written)
    if bind is not None and "database" not in values:
        values.setdefault("public_url", f"http://{bind}/mcp")
    mistake = unknown_variable(ENVIRONMENT_PREFIX, Settings)
    if mistake is not None:
        raise ConfigurationError(mistake)
    try:
        settings = Settings(**values)
        settings._given = Given(written, EnvSettingsSource(Settings)())
        return settings
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
