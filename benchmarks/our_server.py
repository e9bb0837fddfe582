"""The whole web application as ``composer-mcp serve`` runs it, with further tools for a bench.

A program: ``our_server CONFIG CREDENTIALS ADDRESS FURTHER``, FURTHER being the number of added tools.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import catalogue
from composer_mcp.observability import process
from composer_mcp.settings import Credentials, load

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from composer_mcp.mcp.server import ComposerServer


def main() -> None:
    """Serve until told to stop."""
    config, credentials, address, further = sys.argv[1:5]
    settings = load(Path(config))
    # Before anything else that counts is imported.
    process.prepare(settings)
    from composer_mcp import app
    from composer_mcp.security.caller import SCOPES
    from composer_mcp.web import Web

    def extend(server: ComposerServer) -> None:
        for tool in catalogue.tools(int(further)):
            server.add_tool(tool)
            # As every tool of ours needs one.
            SCOPES[tool.__name__] = "compositions:read"

    class WebWithMore(Web):
        def load(self) -> ASGIApp:
            return app.create(settings, secrets, extend=extend)

    secrets = Credentials.find(Path(credentials))
    WebWithMore(settings, secrets, address, None, None).run()


if __name__ == "__main__":
    main()
