"""Commands that run until they are told to stop, and the one that prepares a stop."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from composer_mcp.alone.defaults import is_local
from composer_mcp.cli.common import AsJson, Config, Secrets, fail_if, prepare, print_json, progress, secrets
from composer_mcp.errors.kinds import ConfigurationError
from composer_mcp.places import PORTS

if TYPE_CHECKING:
    from composer_mcp.settings import Settings

commands = typer.Typer()


@commands.command(
    epilog="Example: composer-mcp serve --slot blue --certificate host.crt --authority ca.crt; "
    "alone on this machine: composer-mcp serve"
)
def serve(
    config: Config = None,
    credentials: Secrets = None,
    slot: Annotated[
        str | None,
        typer.Option(help="blue (port 8101) or green (port 8102)", autocompletion=lambda: list(PORTS)),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            help="address:port; when left out all addresses and the slot's port, alone 127.0.0.1:8101"
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="server certificate with its chain; the key is the secret tls.key")
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(help="authority whose client certificates are let in; all others are refused"),
    ] = None,
    plain_text: Annotated[
        bool, typer.Option("--plain-text", help="no encryption; only on 127.0.0.1, for development")
    ] = False,
) -> None:
    """Answer MCP calls over HTTP.

    With [database] in the configuration: as part of a platform, encrypted, and workers do the jobs. Without:
    alone, on 127.0.0.1 only, in one process that does the jobs too; composer-mcp token prints a token for it.
    """
    settings = prepare(config, slot, bind)
    if settings.alone:
        if slot is not None or certificate is not None or authority is not None:
            raise ConfigurationError(
                "the configuration has no section [database], so this server would run alone, and --slot, "
                "--certificate and --authority are for a platform. Leave them out, or restore [database]."
            )
        _serve_alone(settings, credentials, bind or f"127.0.0.1:{PORTS['blue']}")
        return
    address = bind or ("127.0.0.1" if plain_text else "") + f":{PORTS[settings.web.slot]}"
    if plain_text:
        if not address.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
            raise ConfigurationError(
                "--plain-text is allowed on 127.0.0.1 only, because tokens would be readable."
            )
    elif certificate is None or authority is None:
        raise ConfigurationError(
            "--certificate and --authority are required (or --plain-text for development)."
        )
    if settings.web.drain_file is not None:
        settings.web.drain_file.unlink(missing_ok=True)
    from composer_mcp.observability import process

    process.prepare(settings)
    from composer_mcp.web import Web

    Web(settings, secrets(settings, credentials), address, certificate, authority).run()


def _serve_alone(settings: Settings, credentials: Path | None, bind: str) -> None:
    if ":" not in bind or not is_local(bind) or bind.startswith("/"):
        raise ConfigurationError(
            f"--bind {bind} is refused: a server that runs alone does not encrypt, so it answers on this "
            f"machine only. Use 127.0.0.1:PORT, such as 127.0.0.1:{PORTS['blue']}."
        )
    _count_here()
    from composer_mcp.alone import serve as alone

    fail_if(asyncio.run(alone.serve_http(settings, secrets(settings, credentials), bind)))


def _count_here() -> None:
    """Count in memory: there is one process, so no folder has to bring figures together."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


@commands.command(epilog="Example: composer-mcp stdio --config ~/composer.toml --credentials ~/secrets")
def stdio(config: Config = None, credentials: Secrets = None) -> None:
    """Answer one MCP client on standard input and output; clients start this themselves.

    Runs alone: everything is kept in the state directory, and the browser starts with the first job that
    needs one. The caller is the user of this process, with all scopes. Log lines go to standard error.
    """
    settings = prepare(config)
    _ = settings.state
    if sys.stdin.isatty():
        typer.echo("composer-mcp: waiting for an MCP client on standard input; Ctrl-D ends.", err=True)
    _count_here()
    from composer_mcp.alone import serve as alone

    fail_if(asyncio.run(alone.serve_stdio(settings, secrets(settings, credentials))))


@commands.command(epilog="Example: composer-mcp worker --credentials ./secrets")
def worker(config: Config = None, credentials: Secrets = None) -> None:
    """Do jobs with a browser until SIGTERM; jobs under way are finished first."""
    settings = prepare(config)
    # Before its secrets: without a database there is nothing for a worker to do.
    _ = settings.postgresql
    from composer_mcp.observability import process

    process.prepare(settings)
    from composer_mcp.jobs import worker as jobs

    asyncio.run(jobs.serve(settings, secrets(settings, credentials)))


@commands.command(epilog="Example: composer-mcp drain --slot blue --wait 5")
def drain(
    config: Config = None,
    slot: Annotated[
        str | None, typer.Option(help="blue or green", autocompletion=lambda: list(PORTS))
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=300, help="seconds until the edge has noticed")] = 5,
    as_json: AsJson = False,
) -> None:
    """Turn readiness off, so that the edge sends no new calls, and wait; calls under way go on."""
    settings = prepare(config, slot)
    if settings.web.drain_file is None:
        raise ConfigurationError("web.drain_file is not set, so there is nothing to turn readiness off with.")
    settings.web.drain_file.touch()
    with progress(f"waiting {wait:g} s for the edge to notice"):
        time.sleep(wait)
    if as_json:
        print_json({"draining": True, "slot": settings.web.slot, "drain_file": settings.web.drain_file})
    else:
        typer.echo(
            f"{settings.web.slot} is out of service until {settings.web.drain_file} is removed or it restarts"
        )
