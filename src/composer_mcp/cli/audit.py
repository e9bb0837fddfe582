"""Commands with which an auditor reads and verifies the audit trail, and an operator archives it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from composer_mcp.cli.common import AsJson, Config, Secrets, fail, prepare, print_json, progress, secrets

if TYPE_CHECKING:
    from composer_mcp.audit.opening import Opened
    from composer_mcp.audit.reading import Findings

T = TypeVar("T")

commands = typer.Typer(
    name="audit",
    help="Read the audit trail, verify that nobody has changed it, archive what is old.",
    no_args_is_help=True,
)

LIST_LIMIT = 10_000
OUTCOMES = ("ok", "begun", "accepted", "input_required", "caller_left")


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(
            f"{value} is no date or time. Write 2026-11-24, or 2026-11-24T16:00:00+01:00; without an offset "
            "it is taken as UTC."
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _outcomes(incomplete: str) -> list[str]:
    return [outcome for outcome in OUTCOMES if outcome.startswith(incomplete)]


Moment = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="TIME", help="date or time, UTC unless it says so")
]
NewFile = Annotated[Path, typer.Option("--to", metavar="FILE", help="a file that is not there yet")]


@commands.command("list", epilog="Example: composer-mcp audit list --since 2026-11-24 --action 'account.*'")
def list_(
    since: Moment = None,
    until: Moment = None,
    tenant: Annotated[str | None, typer.Option(help="only of this tenant")] = None,
    actor: Annotated[
        str | None,
        typer.Option(help="only of this actor: issuer and subject, or cli:user@host; may end with *"),
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="only this action, such as tool.*; may end with *")
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            help="only with this outcome: ok, begun, or a code of an error", autocompletion=_outcomes
        ),
    ] = None,
    correlation_id: Annotated[
        str | None, typer.Option(help="only of the call with this correlation id")
    ] = None,
    before: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="only older than this entry: the next page")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="at most so many")] = 50,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first: who did what to what, when, from where, and how it ended."""
    from composer_mcp.audit.reading import as_dict
    from composer_mcp.audit.store import Filter

    which = Filter(since, until, tenant, actor, action, outcome, correlation_id, before)
    rows = _with(config, credentials, "reading the trail", lambda opened: opened.store.find(which, limit))
    if as_json:
        print_json({"entries": [as_dict(row) for row in rows]})
        return
    if not rows:
        typer.echo("no such entries")
        return
    for row in rows:
        _line(as_dict(row))
    if len(rows) == limit:
        typer.echo(f"the newest {limit}; older ones: --before {rows[-1].number}")


@commands.command(epilog="Example: composer-mcp audit show 1024 --json")
def show(
    number: Annotated[int, typer.Argument(min=1, help="the entry's place in the chain, as lists show it")],
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry with all that was recorded, and the hash that ties it into the chain."""
    from composer_mcp.audit.reading import as_dict

    entry = as_dict(
        _with(config, credentials, "reading the trail", lambda opened: opened.trail.entry(number))
    )
    if as_json:
        print_json(entry)
        return
    for name, value in entry.items():
        typer.echo(f"{name}: {value}")


@commands.command(epilog="Example: composer-mcp audit verify --against checkpoint.txt --archive 2026.jsonl")
def verify(
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="a checkpoint, or a file with checkpoints, that was kept elsewhere; may be repeated",
        ),
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="verify this archive too; may be repeated"),
    ] = None,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Find every entry that was changed, removed or inserted; exit 1 if there is one.

    Against a checkpoint it also finds that the whole trail was taken back to an earlier state, which without
    one nobody can see.
    """
    from composer_mcp.audit.reading import checkpoints, examine

    points = checkpoints(against or ())
    found = _with(
        config,
        credentials,
        "",
        lambda opened: examine(opened, points, archive or (), _percent if sys.stderr.isatty() else None),
    )
    if as_json:
        print_json(found.as_dict())
    else:
        _told(found)
    if not found.ok:
        raise typer.Exit(1)


@commands.command(epilog="Example: composer-mcp audit checkpoint --json")
def checkpoint(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Print where the chain stands. Keep it where nobody who can write to the database can write."""
    point = _with(config, credentials, "reading the trail", lambda opened: opened.trail.checkpoint())
    if as_json:
        print_json({"checkpoint": str(point), "number": point.number, "hash": point.hash.hex()})
    else:
        typer.echo(str(point))


@commands.command(epilog="Example: composer-mcp audit archive --before 2026-01-01 --to 2025.jsonl")
def archive(
    before: Annotated[
        datetime, typer.Option(parser=_moment, metavar="TIME", help="what was recorded before it is moved")
    ],
    to: NewFile,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Move old entries into a file, as the owner's role; the chain verifies across both."""
    from composer_mcp.audit import archive as archives
    from composer_mcp.audit.opening import by_hand

    async def work(opened: Opened) -> archives.Archived | None:
        done = await archives.archive(opened.store, opened.keys, before, to)
        if done is not None:
            details = {"file": to.name, "sha256": done.sha256, "first": done.first, "last": done.last}
            await opened.trail.record(by_hand("audit.archive", str(done.last), details))
        return done

    from composer_mcp.audit.archive import NotArchived

    try:
        done = _with(config, credentials, "archiving", work, owner=True)
    except NotArchived as error:
        fail(str(error))
    if as_json:
        print_json({"archived": None if done is None else done.as_dict(), "file": str(to)})
    elif done is None:
        typer.echo("nothing is that old; no file was written")
    else:
        typer.echo(f"entries {done.first} to {done.last} are in {to} now; SHA-256 {done.sha256}")


@commands.command(epilog="Example: composer-mcp audit restart --to broken.jsonl --reason 'see report 17'")
def restart(
    to: NewFile,
    reason: Annotated[str, typer.Option(help="what happened; it is the first thing that the new chain says")],
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Keep a broken trail in a file as it is, and begin a new chain, as the owner's role.

    For a trail that was tampered with, or whose key is lost: until then no call is done.
    """
    from composer_mcp.audit import archive as archives
    from composer_mcp.audit.opening import by_hand

    async def work(opened: Opened) -> archives.Archived:
        done = await archives.restart(opened.store, opened.keys, to)
        details = {"reason": reason, "file": to.name, "sha256": done.sha256, "entries": done.entries}
        await opened.trail.record(by_hand("audit.restart", str(done.last), details))
        return done

    done = _with(config, credentials, "keeping the trail", work, owner=True)
    if as_json:
        print_json({"kept": done.as_dict(), "file": str(to)})
    else:
        typer.echo(f"{done.entries} entries are in {to}; a new chain has begun; SHA-256 {done.sha256}")


def _with(
    config: Path | None,
    credentials: Path | None,
    what: str,
    work: Callable[[Opened], Awaitable[T]],
    *,
    owner: bool = False,
) -> T:
    settings = prepare(config)
    import asyncpg

    from composer_mcp.audit.opening import opened
    from composer_mcp.store.database import UNREACHABLE

    async def run() -> T:
        async with opened(settings, secrets(settings, credentials), owner=owner) as trail:
            return await work(trail)

    try:
        if not what:
            return asyncio.run(run())
        with progress(what):
            return asyncio.run(run())
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        fail(f"the database refused: {type(error).__name__}: {error}")


def _percent(done: int, all_: int) -> None:
    typer.echo(f"\rverified {done:,} of {all_:,} entries", err=True, nl=done >= all_)


def _line(entry: dict[str, Any]) -> None:
    about = f" {entry['target']}" if entry["target"] else ""
    where = f" from {entry['source']}" if entry["source"] else ""
    who = f"{entry['actor']} ({entry['tenant']})" if entry["tenant"] else entry["actor"]
    typer.echo(
        f"{entry['number']}  {entry['at']}  {entry['action']}{about}: {entry['outcome']}; {who}{where}"
    )


def _told(found: Findings) -> None:
    for part in found.parts:
        for problem in part.problems:
            typer.echo(f"{part.name}, entry {problem.number}: {problem.what}", err=True)
        what = f"entries {part.first} to {part.last}" if part.entries else "no entries"
        typer.echo(f"{part.name}: {what}, {'intact' if part.ok else 'NOT INTACT'}")
    typer.echo(f"checkpoint: {found.checkpoint}")
