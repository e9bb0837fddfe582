"""Runs the web application under gunicorn: processes, encryption, graceful stop."""

from __future__ import annotations

import gc
import logging
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from prometheus_client import multiprocess

from composer_mcp import app
from composer_mcp.observability import figures, logs, process
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from composer_mcp.settings import Credentials, Settings


class QuietLogger(Logger):
    """Hands gunicorn's lines to our log; the access line is ours."""

    def setup(self, cfg: Any) -> None:
        """Replace gunicorn's own handlers."""
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)
        self.access_log.handlers[:] = []
        self.access_log.disabled = True


class Web(BaseApplication):
    """gunicorn with this application; each worker process builds its own."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        bind: str,
        certificate: Path | None,
        authority: Path | None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._bind = bind
        self._certificate = certificate
        self._authority = authority
        if certificate is not None:
            self._check_encryption(certificate)
        process.check_receivers(settings, credentials)
        super().__init__()

    def _check_encryption(self, certificate: Path) -> None:
        """Fail before anything listens: gunicorn itself would go on without encryption."""
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self._authority)
            context.load_cert_chain(certificate, self._credentials.path("tls.key"))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificate {certificate}, its key tls.key or the authority {self._authority} cannot "
                f"be used: {error}. Nothing was started, because it would answer without encryption."
            ) from error

    def load_config(self) -> None:
        """Set gunicorn's options; called again on reload."""
        web = self._settings.web
        options: dict[str, Any] = {
            "bind": self._bind,
            "worker_class": "asgi",
            "asgi_loop": "uvloop",
            "asgi_lifespan": "on",
            "workers": web.workers,
            "keepalive": web.keep_alive_seconds,
            "graceful_timeout": web.graceful_seconds,
            "timeout": 30,
            "proc_name": f"composer-web-{web.slot}",
            "logger_class": QuietLogger,
            "control_socket_disable": True,
            # Nobody may tell us through a header that a request was encrypted.
            "forwarded_allow_ips": "",
            "post_worker_init": _spare_the_collector,
            "when_ready": _say_nothing_of_itself,
            "child_exit": _forget_process,
        }
        if self._certificate is not None:
            options |= {
                "certfile": str(self._certificate),
                "keyfile": str(self._credentials.path("tls.key")),
                "ca_certs": str(self._authority),
                "cert_reqs": ssl.CERT_REQUIRED,
            }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """Build the application, in a worker process."""
        logs.configure(self._settings.log)
        process.tell_others(self._settings, self._credentials, "composer-web")
        return app.create(self._settings, self._credentials, require_tls=self._certificate is not None)


def _spare_the_collector(_worker: object) -> None:
    """Take what was built once, and lives as long as the process, out of the collector's sight."""
    gc.collect()
    gc.freeze()


def _say_nothing_of_itself(_server: object) -> None:
    """Drop the gauges of the process that only starts others: its zeros would be the lowest of all."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(os.getpid())


def _forget_process(_server: object, worker: Any) -> None:
    """Drop the gauges of a process that has ended; what it counted stays."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)
        figures.merge_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
