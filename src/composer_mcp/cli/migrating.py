"""The command that changes the schema of the database, forward and back."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from composer_mcp.cli.common import AsJson, Config, Secrets, fail, prepare, print_json, progress, secrets

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, Settings
    from composer_mcp.store.migrate import Applied, Outcome, Plan

commands = typer.Typer()


@commands.command(
    epilog="Example: composer-mcp migrate --json; what would be done: composer-mcp migrate --dry-run; "
    "for an older release: composer-mcp migrate --to 4 --back"
)
def migrate(
    config: Config = None,
    credentials: Secrets = None,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="schema version to go to; when left out this release's, 0: no tables"),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="going back is meant: the release that needs it no longer runs")
    ] = False,
    lose_data: Annotated[
        bool, typer.Option("--lose-data", help="go back even where that removes what was kept since")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the SQL that would be run, and change nothing")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="print what is applied and what is not, and change nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database schema to this release's version, or to another one, as the owner's role.

    Processes of the release before go on meanwhile. Going back is for an older release: run that one first,
    because it works with the newer schema too, then go back, with the newer release's program.
    """
    settings = prepare(config)
    store = _Alone(settings) if settings.alone else _Shared(settings, secrets(settings, credentials))
    if dry_run or status:
        applied, steps = store.look(to)
        if status:
            _print_status(applied, steps, as_json)
        else:
            _print_script(steps, store.now, as_json)
        return
    with progress("bringing the schema up to date"):
        outcome = store.migrate(to, back, lose_data)
    if as_json:
        print_json({"changed": bool(outcome.steps), "version": outcome.version, "steps": outcome.steps})
        return
    for step in outcome.steps:
        typer.echo(step)
    typer.echo(f"schema version {outcome.version}" + ("" if outcome.steps else ", nothing to do"))


def _print_status(applied: list[Applied], steps: Plan, as_json: bool) -> None:
    entries = [
        {"version": each.version, "name": each.name, "applied_at": each.at or None} for each in applied
    ] + [{"version": each.version, "name": each.name, "applied_at": None} for each in steps.forward]
    entries.sort(key=lambda entry: int(str(entry["version"])))
    if as_json:
        print_json(
            {
                "version": max((each.version for each in applied), default=0),
                "pending": [each.version for each in steps.forward],
                "migrations": entries,
            }
        )
        return
    for entry in entries:
        typer.echo(f"{entry['version']:>4}  {entry['name']:<24}  {entry['applied_at'] or 'not applied'}")
    typer.echo(f"{len(steps.forward)} to apply" if steps.forward else "nothing to do")


def _print_script(steps: Plan, now: str, as_json: bool) -> None:
    from composer_mcp.store import migrate as schema

    script = schema.script(steps, now)
    if as_json:
        print_json(
            {
                "back": [each.version for each in steps.back],
                "forward": [each.version for each in steps.forward],
                "sql": script,
            }
        )
        return
    typer.echo(script or "-- nothing to do")


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    import asyncpg

    from composer_mcp.store import database

    try:
        yield
    except (*database.UNREACHABLE, asyncpg.PostgresError, sqlite3.Error) as error:
        fail(
            f"the database refused: {type(error).__name__}: {error}\n"
            "Steps that were done stay done; mend the cause and run it again."
        )


class _Shared:
    """The schema in PostgreSQL."""

    now = "now()"

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._place = settings.postgresql
        self._password = credentials.read("database-owner-password")

    def look(self, to: int | None) -> tuple[list[Applied], Plan]:
        from composer_mcp.store import migrate_postgres

        with _refusals_told():
            return asyncio.run(migrate_postgres.look(self._place, self._password, to))

    def migrate(self, to: int | None, back: bool, lose: bool) -> Outcome:
        from composer_mcp.store import migrate_postgres

        with _refusals_told():
            return asyncio.run(
                migrate_postgres.migrate_to(self._place, self._password, to, back=back, lose=lose)
            )


class _Alone:
    """The schema in the one file of a server that runs alone."""

    now = "unixepoch()"

    def __init__(self, settings: Settings) -> None:
        self._path = settings.state

    def look(self, to: int | None) -> tuple[list[Applied], Plan]:
        from composer_mcp.alone.directory import StateDirectory
        from composer_mcp.store import migrate_sqlite

        with _refusals_told():
            return migrate_sqlite.look(StateDirectory(self._path).database, to)

    def migrate(self, to: int | None, back: bool, lose: bool) -> Outcome:
        from composer_mcp.alone.directory import StateDirectory
        from composer_mcp.store import migrate_sqlite

        state = StateDirectory(self._path)
        with _refusals_told(), state.lock():
            return migrate_sqlite.migrate_to(state.database, to, back=back, lose=lose)
