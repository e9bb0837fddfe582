"""The commands ``composer-mcp template …``: lesson templates of the operator, in the object store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from composer_mcp.cli.common import AsJson, Config, Secrets, fail, prepare, print_json, secrets
from composer_mcp.errors.kinds import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from composer_mcp.store.lesson_templates import LessonTemplates

T = TypeVar("T")

commands = typer.Typer()
template = typer.Typer(
    name="template", help="Lesson templates of your own, beside those of the package.", no_args_is_help=True
)
commands.add_typer(template)

Name = Annotated[str, typer.Argument(help="small letters, digits and -; one of the package's is replaced")]
Tenant = Annotated[str | None, typer.Option(help="whose it is; when left out everybody's")]
Language = Annotated[str, typer.Option(help="pt_BR or en")]


@template.command("list", epilog="Example: composer-mcp template list --json")
def list_templates(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Show all templates in the object store, and what is wrong with those that cannot be used."""
    entries = asyncio.run(_open(config, credentials).entries())
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "language": entry.language,
                    "tenant": entry.tenant,
                    "title": entry.template.title if entry.template else None,
                    "problem": entry.problem or None,
                }
                for entry in entries
            ]
        )
        return
    for entry in entries:
        whose = "everybody" if entry.tenant is None else entry.tenant
        what = entry.template.title if entry.template else f"CANNOT BE USED: {entry.problem}"
        typer.echo(f"{entry.name:<24}  {entry.language:<5}  {whose:<20}  {what}")


@template.command(epilog="Example: composer-mcp template put review review.json --tenant school")
def put(
    name: Name,
    file: Annotated[Path, typer.Argument(help="JSON with title, description and lesson", exists=True)],
    tenant: Tenant = None,
    language: Language = "pt_BR",
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Check a template and keep it; all processes offer it within 15 seconds."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error
    entry = _audited(
        "template.put",
        f"{name}.{language}",
        tenant,
        lambda store: store.put(tenant, name, language, text),
        config,
        credentials,
    )
    title = entry.template.title if entry.template else ""
    if as_json:
        print_json({"name": name, "language": language, "tenant": tenant, "title": title})
        return
    typer.echo(f"kept: {title}")


@template.command(epilog="Example: composer-mcp template remove review --tenant school")
def remove(
    name: Name,
    tenant: Tenant = None,
    language: Language = "pt_BR",
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Remove a template of your own; one of the package of this name is offered again."""
    removed = _audited(
        "template.remove",
        f"{name}.{language}",
        tenant,
        lambda store: store.remove(tenant, name, language),
        config,
        credentials,
    )
    if not removed:
        fail(f"there is no template {name} ({language}) of {tenant or 'everybody'}.")
    if as_json:
        print_json({"name": name, "language": language, "tenant": tenant, "removed": True})
        return
    typer.echo("removed")


def _audited(
    action: str,
    target: str,
    tenant: str | None,
    change: Callable[[LessonTemplates], Coroutine[None, None, T]],
    config: Path | None,
    credentials: Path | None,
) -> T:
    store = _open(config, credentials)
    settings = prepare(config)
    from composer_mcp.audit.opening import by_hand, opened
    from composer_mcp.errors.kinds import ComposerError

    async def run() -> T:
        async with opened(settings, secrets(settings, credentials)) as audit:
            entry = by_hand(action, target, {"for": tenant or "everybody"})
            try:
                return await change(store)
            except ComposerError as error:
                entry = entry._replace(outcome=error.code.code)
                raise
            finally:
                await audit.trail.record(entry)

    return asyncio.run(run())


def _open(config: Path | None, credentials: Path | None) -> LessonTemplates:
    settings = prepare(config)
    from composer_mcp.store.artifacts import ArtifactStore

    return ArtifactStore.open(settings.object_store, secrets(settings, credentials)).templates
