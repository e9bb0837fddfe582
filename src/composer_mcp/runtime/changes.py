"""Decides what may be changed at run time, and changes it, for the command line and the admin API."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from composer_mcp.errors import (
    SETTING_FIXED,
    SETTING_INVALID,
    SETTING_UNKNOWN,
    SETTINGS_CHANGED,
    ComposerError,
)
from composer_mcp.runtime import listing
from composer_mcp.runtime.current import RuntimeSettings, take_over
from composer_mcp.runtime.keys import CHANGEABLE
from composer_mcp.settings import catalogue

if TYPE_CHECKING:
    from composer_mcp.runtime.listing import Value
    from composer_mcp.runtime.store import RuntimeStore, Stored
    from composer_mcp.settings import Settings

#: How often a change that was made for no version in particular is tried again when another came first.
TRIES = 5


class Changes:
    """Changes settings in the store, after the same checks as for the configuration file."""

    def __init__(self, store: RuntimeStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._base = RuntimeSettings.of(settings)

    async def listing(self) -> tuple[int, list[Value]]:
        """Return the newest version and every setting as it applies.

        Raises:
            store_unavailable.
        """
        stored = await self._store.read()
        return stored.version, listing.values(self._settings, stored)

    async def change(self, values: Mapping[str, Any], *, actor: str, expected: int | None = None) -> Stored:
        """Set, or where the value is ``None`` unset, all of ``values`` or none.

        ``expected`` is the version that the caller has read; without it the change is made to whatever there
        is. What is set already stays as it is and makes no new version.

        Raises:
            setting_unknown, setting_fixed, setting_invalid, settings_changed, store_unavailable.
        """
        for key in values:
            require_changeable(key)
        for left in reversed(range(TRIES)):
            stored = await self._store.read()
            if expected is not None and stored.version != expected:
                raise SETTINGS_CHANGED.error(expected=expected)
            wanted = checked(self._base, stored, values)
            new = {key: value for key, value in wanted.items() if stored.values.get(key) != value}
            if not new:
                return stored
            try:
                return await self._store.change(new, expected=stored.version, actor=actor)
            except ComposerError as error:
                if error.code is not SETTINGS_CHANGED or expected is not None or not left:
                    raise
        raise AssertionError("the last try returns or raises")


def require_changeable(key: str) -> None:
    """Raise ``setting_unknown`` or ``setting_fixed`` unless the setting may change at run time."""
    if key in CHANGEABLE:
        return
    if key in catalogue.by_name():
        raise SETTING_FIXED.error(key=key, changeable=", ".join(CHANGEABLE))
    raise SETTING_UNKNOWN.error(key=key, nearest=", ".join(nearest(key, list(CHANGEABLE))))


def nearest(key: str, known: list[str]) -> list[str]:
    """Return the names that are most like ``key``; all of a few, if none is."""
    last = key.rpartition(".")[2]
    alike = [name for name in known if last and name.rpartition(".")[2] == last]
    return alike or difflib.get_close_matches(key, known, n=3, cutoff=0.5) or known[:10]


def checked(base: RuntimeSettings, stored: Stored, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` in the form in which they are stored.

    Raises:
        setting_invalid: one, or what they are together with the rest, is not allowed; says the bound.
    """
    present, _ = take_over(base, stored.values, stored.version)
    kept = {key: _at(present, key) for key in stored.values if key in CHANGEABLE and key not in values}
    wanted = {key: value for key, value in values.items() if value is not None}
    try:
        now = base.overridden({**kept, **wanted}, stored.version)
    except ValidationError as error:
        raise SETTING_INVALID.error(problem=_problem(error, values)) from error
    return {key: _at(now, key) if value is not None else None for key, value in values.items()}


def _at(settings: RuntimeSettings, key: str) -> Any:
    section, _, field = key.partition(".")
    return settings.model_dump(mode="json")[section][field]


def _problem(error: ValidationError, values: Mapping[str, Any]) -> str:
    sentences = []
    described = catalogue.by_name()
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"])
        if key in described and key in values:
            setting = described[key]
            must = setting.type + (f", {setting.bounds}" if setting.bounds else "")
            sentences.append(f"{key} must be {must}; {str(values[key])[:60]!r} is not.")
        else:
            sentences.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}.")
    return " ".join(sentences)
