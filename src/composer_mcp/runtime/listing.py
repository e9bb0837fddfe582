"""What applies now, setting by setting, and where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from composer_mcp.observability.masking import SENSITIVE_NAME, redact
from composer_mcp.runtime.current import RuntimeSettings, take_over
from composer_mcp.runtime.store import Stored
from composer_mcp.settings import Settings, catalogue
from composer_mcp.settings.model import Given

HIDDEN = "(secret, not shown)"


@dataclass(frozen=True, slots=True)
class Value:
    """One setting as it applies now.

    ``source`` is ``default``, ``file``, ``environment`` or ``runtime``; with the last come who changed it,
    when (ISO 8601) and as which version. ``ignored`` says why a value set at run time does not apply.
    """

    name: str
    value: Any
    source: str
    default: str | None
    description: str
    type: str
    bounds: str
    variable: str
    changeable: bool
    changed_by: str | None = None
    changed_at: str | None = None
    version: int | None = None
    ignored: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json`` and the admin API."""
        return asdict(self)


def values(settings: Settings, stored: Stored | None) -> list[Value]:
    """Return every setting; ``stored`` is what overrides the configuration, ``None`` if it is not known."""
    described = catalogue.by_name()
    overrides = {} if stored is None else stored.overrides
    ignored: dict[str, str] = {}
    now: Any = settings
    if stored is not None:
        now, ignored = take_over(RuntimeSettings.of(settings), stored.values, stored.version)
    found = []
    for name, configured in _leaves(settings):
        setting = described.get(_general(name))
        if setting is None:
            continue  # A section that may be left out, and is.
        value, source = configured, _source(name, settings.given)
        override = overrides.get(name)
        applies = override is not None and override.value is not None and name not in ignored
        if override is not None and applies:
            value, source = _at(now, name), "runtime"
        found.append(
            Value(
                name=name,
                value=_shown(name, value),
                source=source,
                default=setting.default,
                description=setting.description,
                type=setting.type,
                bounds=setting.bounds,
                variable=setting.variable,
                changeable=setting.changeable,
                changed_by=override.changed_by if override else None,
                changed_at=override.changed_at.isoformat() if override else None,
                version=override.version if override else None,
                ignored=ignored.get(name),
            )
        )
    return found


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for place, each in enumerate(value):
                yield from _leaves(each, f"{prefix}{name}.{place}.")
        else:
            yield prefix + name, value


def _general(name: str) -> str:
    """Turn the number of a list's entry into the brackets of the catalogue."""
    return re.sub(r"\.\d+\.", "[].", name)


def _source(name: str, given: Given) -> str:
    for place, read in (("environment", given.environment), ("file", given.file)):
        if _at(read, name) is not None:
            return place
    return "default"


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        if isinstance(values, BaseModel):
            values = getattr(values, part, None)
        elif isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list):
            values = values[int(part)] if int(part) < len(values) else None
        else:
            return None
    return values


def _shown(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, SecretStr) or SENSITIVE_NAME.search(name.rpartition(".")[2]):
        return HIDDEN
    if isinstance(value, (list, tuple)):
        return [_shown(name, each) for each in value]
    return redact(str(value))
