"""The command that describes the admin API to other programs."""

from __future__ import annotations

import typer

from composer_mcp.cli.common import print_json

commands = typer.Typer()


@commands.command(epilog="Example: composer-mcp openapi")
def openapi() -> None:
    """Print the OpenAPI document of the admin API; it is JSON and needs no configuration."""
    from composer_mcp.admin.app import describe

    print_json(describe())
