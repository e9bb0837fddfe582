"""The real server with the fixtures of third-party test suites: ``python -m tests.conformance.server``.

It is the application that ``composer-mcp serve`` runs, made by the same function under the same web server,
with more tools registered on it. The product has no switch for this: it is built here, from outside.

The suites cannot send a token. This program puts one, read from a file, on every request without an
``Authorization`` header, before the application sees it; all that checks tokens is the application's own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from composer_mcp import app
from composer_mcp.observability import logs, process
from composer_mcp.settings import Credentials, load
from composer_mcp.web import Web

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


class WithToken:
    """Adds a token to requests that have none."""

    def __init__(self, application: ASGIApp, token_file: Path) -> None:
        self._application = application
        self._token_file = token_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and all(name != b"authorization" for name, _ in scope["headers"]):
            token = self._token_file.read_bytes().strip()
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", b"Bearer " + token)]}
        await self._application(scope, receive, send)


class WebWithFixtures(Web):
    """The web server of the product around the extended application."""

    token_file: Path

    def load(self) -> ASGIApp:
        """Build the application, in a worker process."""
        # Only where the fixtures are: a process that merely imports this module keeps a clean server.
        from .fixtures import register

        logs.configure(self._settings.log)
        application = app.create(self._settings, self._credentials, extend=register)
        return WithToken(application, self.token_file)


def main() -> None:
    """Serve until stopped; only on the loopback interface."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--credentials", type=Path, required=True)
    parser.add_argument("--token", type=Path, required=True, help="file with the token that is added")
    parser.add_argument("--bind", required=True, help="address:port on the loopback interface")
    options = parser.parse_args()
    if not options.bind.startswith(LOOPBACK):
        parser.error("whoever reaches this server acts with the token, so it listens on 127.0.0.1 only")
    settings = load(options.config)
    logs.configure(settings.log)
    process.prepare(settings)
    WebWithFixtures.token_file = options.token
    # gunicorn reads the command line as well; what it would find there is not for it.
    sys.argv[1:] = []
    WebWithFixtures(settings, Credentials(options.credentials), options.bind, None, None).run()


if __name__ == "__main__":
    main()
