"""Sets a process up for observation, before anything else is imported that would count or log."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from composer_mcp.observability import figures, logs, reports, tracing
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, Settings


def prepare(settings: Settings) -> None:
    """Send the log to standard error, and name the folder in which all processes of this host count.

    The metrics library decides where to count when it is imported, so this must come first.

    Raises:
        ConfigurationError: the folder cannot be made.
    """
    logs.configure(settings.log)
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    folder = settings.metrics.directory or (Path(runtime) / "metrics" if runtime else None)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="composer-mcp-metrics-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"metrics.directory {folder} cannot be made: {error.strerror}.") from error
    figures.forget_dead(folder)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    figures.merge_dead(folder)


def check_receivers(settings: Settings, credentials: Credentials) -> None:
    """See that the secrets of those who get traces and reports are there, before anything is started.

    Raises:
        ConfigurationError: one is missing or cannot be used.
    """
    if settings.traces.endpoint is not None and settings.traces.authorization:
        credentials.read("traces-authorization")
    if settings.reports.enabled:
        reports.address_of(credentials)


def tell_others(settings: Settings, credentials: Credentials, service: str) -> None:
    """Send traces and error reports to whoever is configured to get them: by default to nobody.

    Called in the process that works, not in one that forks others: what sends is a thread.

    Raises:
        ConfigurationError: a secret is missing or cannot be used.
    """
    tracing.start(settings.traces, credentials, service)
    reports.start(settings.reports, credentials, service)
