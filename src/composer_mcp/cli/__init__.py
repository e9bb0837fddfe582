"""The command line. Each command reads the configuration, says what is wrong with it, and hands over.

Exit codes: 0 done, 1 failed (a check, a migration, a service), 2 wrong usage or configuration.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from composer_mcp.cli import accounts, audit, config, installing, jobs, migrating, openapi, serving, templates
from composer_mcp.errors.kinds import ComposerError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

cli = typer.Typer(
    name="composer-mcp",
    help=__doc__.replace(
        "The command line. Each command reads", "Create and edit compositions over MCP. Each command reads"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (serving, installing, migrating, config, jobs, accounts, audit, openapi, templates):
    cli.add_typer(group.commands)


def main() -> None:
    """Entry point of the console script."""
    run: Callable[[], None] = cli
    try:
        run()
    except ConfigurationError as error:
        _tell(str(error))
        sys.exit(2)
    except ComposerError as error:
        _tell(f"{error.sentence} {error.remedy}")
        sys.exit(1)


def _tell(reason: str) -> None:
    from composer_mcp.observability.masking import redact

    typer.echo(f"composer-mcp: {redact(reason)}", err=True)
