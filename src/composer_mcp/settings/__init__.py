"""Configuration: one TOML file without secrets, environment overrides, secrets from credential files.

A setting's name, type, default and reason live here, or in the ``settings`` module of the part it belongs to,
and nowhere else. Nothing here opens a connection.
"""

from composer_mcp.settings.credentials import Credentials
from composer_mcp.settings.explain import ConfigurationError
from composer_mcp.settings.model import (
    DEFAULT_CONFIG,
    PORTS,
    USER_CONFIG,
    Settings,
    find_config,
    load,
)
from composer_mcp.settings.sections import (
    DatabaseSettings,
    IssuerSettings,
    LogSettings,
    ObjectStoreSettings,
    QueueSettings,
    WebSettings,
    WorkerSettings,
)

__all__ = [
    "DEFAULT_CONFIG",
    "PORTS",
    "USER_CONFIG",
    "ConfigurationError",
    "Credentials",
    "DatabaseSettings",
    "IssuerSettings",
    "LogSettings",
    "ObjectStoreSettings",
    "QueueSettings",
    "Settings",
    "WebSettings",
    "WorkerSettings",
    "find_config",
    "load",
]
