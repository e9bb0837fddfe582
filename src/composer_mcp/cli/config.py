"""Commands that show the configuration, and change what may change while the server runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from composer_mcp.cli.common import (
    AsJson,
    Config,
    Secrets,
    fail,
    prepare,
    print_json,
    progress,
    secrets,
)
from composer_mcp.errors.kinds import ComposerError
from composer_mcp.runtime.keys import CHANGEABLE

if TYPE_CHECKING:
    from composer_mcp.runtime.listing import Value
    from composer_mcp.runtime.store import Stored

commands = typer.Typer(
    name="config",
    help="Show the settings, and change some of them while the server runs.",
    no_args_is_help=True,
)

FOLLOWED = "all processes follow within 2 seconds"


def _changeable(incomplete: str) -> list[str]:
    return [key for key in CHANGEABLE if key.startswith(incomplete)]


def _pairs(incomplete: str, ctx: typer.Context) -> list[str]:
    """Complete KEY VALUE KEY VALUE …: at odd places a key, at even ones what this key can be."""
    given = ctx.params.get("pairs") or []
    if len(given) % 2 == 0:
        return _changeable(incomplete)
    from composer_mcp.settings import catalogue

    setting = catalogue.by_name().get(given[-1])
    return [] if setting is None else [word for word in setting.choices if word.startswith(incomplete)]


def _every(incomplete: str) -> list[str]:
    from composer_mcp.settings import catalogue

    return [setting.name for setting in catalogue.every() if setting.name.startswith(incomplete)]


def _sections(incomplete: str) -> list[str]:
    from composer_mcp.settings import catalogue

    return [name for name in catalogue.sections() if name.startswith(incomplete)]


Version = Annotated[
    int | None,
    typer.Option(
        "--if-version", min=0, help="only if this is still the newest version, as config list --json shows it"
    ),
]


@commands.command("set", epilog="Example: composer-mcp config set queue.per_tenant_limit 200")
def set_(
    pairs: Annotated[
        list[str],
        typer.Argument(metavar="KEY VALUE ...", help="settings and their new values", autocompletion=_pairs),
    ],
    config: Config = None,
    credentials: Secrets = None,
    if_version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Change settings for all processes on all hosts within 2 seconds: all that are named, or none."""
    if len(pairs) % 2:
        raise typer.BadParameter(f"{pairs[-1]} has no value: give KEY VALUE, and that as often as needed.")
    _change(dict(zip(pairs[::2], pairs[1::2], strict=True)), config, credentials, if_version, as_json)


@commands.command(epilog="Example: composer-mcp config unset queue.per_tenant_limit")
def unset(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY ...", help="settings", autocompletion=_changeable)
    ],
    config: Config = None,
    credentials: Secrets = None,
    if_version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Take changes back: what the file, the environment or the default says applies again."""
    _change(dict.fromkeys(keys), config, credentials, if_version, as_json)


@commands.command(epilog="Example: composer-mcp config get queue.total_limit --json")
def get(
    key: Annotated[str, typer.Argument(help="the setting", autocompletion=_every)],
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Print the value of one setting that applies now; with --json also where it comes from."""
    values, _, away = _read(config, credentials)
    found = next((value for value in values if value.name == key), None)
    if found is None:
        from composer_mcp.errors import SETTING_UNKNOWN
        from composer_mcp.runtime.changes import nearest

        raise SETTING_UNKNOWN.error(key=key, nearest=", ".join(nearest(key, [each.name for each in values])))
    if as_json:
        print_json(found.as_dict())
    else:
        typer.echo(_plain(found.value))
    if away is not None and found.changeable:
        fail(away)


@commands.command("list", epilog="Example: composer-mcp config list queue --changeable")
def list_(
    section: Annotated[str | None, typer.Argument(help="only this section", autocompletion=_sections)] = None,
    changeable: Annotated[
        bool, typer.Option("--changeable", help="only what may change while the server runs")
    ] = False,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting: value, where it comes from, default, meaning; secrets are never shown."""
    values, stored, away = _read(config, credentials)
    shown = [
        value
        for value in values
        if (section is None or f"{value.name}.".startswith(f"{section}."))
        and (value.changeable or not changeable)
    ]
    if not shown:
        from composer_mcp.errors.kinds import ConfigurationError

        raise ConfigurationError(f"there is no section {section}. Known: {', '.join(_sections(''))}.")
    if as_json:
        print_json(
            {
                "version": None if stored is None else stored.version,
                "settings": [value.as_dict() for value in shown],
            }
        )
    else:
        for value in shown:
            _show(value)
    if away is not None:
        fail(away)


@commands.command(epilog="Example: composer-mcp config check --config ./config.toml")
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Read the configuration as the services would, and say what is wrong; nothing is started or reached."""
    settings = prepare(config)
    from composer_mcp.settings import find_config

    path = config or find_config()
    named = _names(settings.given.environment)
    if as_json:
        print_json({"ok": True, "file": path, "alone": settings.alone, "environment": named})
        return
    kind = "a server that runs alone" if settings.alone else "a platform"
    typer.echo(f"{path or 'the environment'}: good, for {kind}")
    for name in named:
        typer.echo(f"the environment sets {name}")


def _names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key, value in values.items():
        names += _names(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return sorted(names)


def _change(
    values: Mapping[str, Any],
    config: Path | None,
    credentials: Path | None,
    expected: int | None,
    as_json: bool,
) -> None:
    settings = prepare(config)
    from composer_mcp.audit.opening import by_hand, opened
    from composer_mcp.runtime.changes import Changes
    from composer_mcp.runtime.opening import runtime_store

    folder = secrets(settings, credentials)
    action = "config.set" if any(value is not None for value in values.values()) else "config.unset"

    async def run() -> Stored:
        async with opened(settings, folder) as audit, runtime_store(settings, folder) as store:
            entry = by_hand(action, " ".join(sorted(values)), {"values": dict(values)})
            try:
                return await Changes(store, settings).change(values, actor=entry.actor, expected=expected)
            except ComposerError as error:
                entry = entry._replace(outcome=error.code.code)
                raise
            finally:
                await audit.trail.record(entry)

    with progress("changing the settings"):
        stored = asyncio.run(run())
    now = {key: stored.values.get(key) for key in values}
    if as_json:
        print_json({"version": stored.version, "settings": now})
        return
    for key, value in now.items():
        typer.echo(f"{key} = {_plain(value)}" if value is not None else f"{key} is not changed any more")
    typer.echo(f"version {stored.version}; {FOLLOWED}")


def _read(config: Path | None, credentials: Path | None) -> tuple[list[Value], Stored | None, str | None]:
    """Return all settings, what was changed at run time, and if that cannot be known, why."""
    settings = prepare(config)
    from composer_mcp.runtime import listing
    from composer_mcp.runtime.opening import runtime_store

    async def run() -> Stored:
        async with runtime_store(settings, secrets(settings, credentials)) as store:
            return await store.read()

    try:
        stored: Stored | None = asyncio.run(run())
        away = None
    except ComposerError as error:
        stored, away = None, f"what was changed at run time cannot be read: {error.sentence}"
    return listing.values(settings, stored), stored, away


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show(value: Value) -> None:
    facts = [value.source]
    if value.source == "runtime":
        facts[0] += f" ({value.changed_by}, {value.changed_at})"
    facts.append("no default" if value.default is None else f"default {value.default}")
    if value.changeable:
        facts.append("changes at run time")
    if value.ignored:
        facts.append(f"what was set at run time is ignored: {value.ignored}")
    typer.echo(f"{value.name} = {_plain(value.value)}")
    typer.echo(f"    {'; '.join(facts)}")
    typer.echo(f"    {value.description}")
