"""Settings over HTTP: each with where its value comes from; some can be changed while the server runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from composer_mcp.admin.access import Opened, Problem, requires
from composer_mcp.errors import SETTING_UNKNOWN
from composer_mcp.runtime.changes import nearest
from composer_mcp.security.caller import Caller

router = APIRouter(prefix="/settings", tags=["settings"])
Operator = Annotated[Caller, requires("config:manage")]
#: More cannot be changed at run time by far; a request with more is a mistake.
CHANGES_LIMIT = 100


class Setting(BaseModel):
    """One setting as it applies on the host that answers; secrets are never shown."""

    name: str = Field(description="dotted, as in the configuration file")
    value: Any = Field(description="what applies now")
    source: str = Field(description="default, file, environment or runtime")
    default: str | None = Field(description="as JSON; null if there is none")
    description: str
    type: str
    bounds: str = Field(description="what is allowed, in words; empty if anything of the type is")
    variable: str = Field(description="environment variable that sets it")
    changeable: bool = Field(description="whether it can be changed while the server runs")
    changed_by: str | None = Field(description="who changed it last at run time, or took that back")
    changed_at: str | None = Field(description="when, as ISO 8601")
    version: int | None = Field(description="as which version")
    ignored: str | None = Field(description="why what was set at run time does not apply on this host")


class SettingsNow(BaseModel):
    """All settings; ``version`` grows with each change at run time."""

    version: int
    settings: list[Setting]


class Change(BaseModel):
    """Settings to change together; all or none."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(
        None, ge=0, description="the version that was read; the change is refused if there is a newer one"
    )
    set: dict[str, bool | int | float | str] = Field(
        {}, max_length=CHANGES_LIMIT, description="new values by name"
    )
    unset: list[str] = Field(
        [],
        max_length=CHANGES_LIMIT,
        description="names whose changes are taken back: file, environment or default apply again",
    )

    @model_validator(mode="after")
    def _something_and_nothing_twice(self) -> Change:
        if not self.set and not self.unset:
            raise ValueError("nothing is set or unset")
        both = sorted(self.set.keys() & set(self.unset))
        if both:
            raise ValueError(f"{', '.join(both)} cannot be set and unset at once")
        return self


@router.get("", response_model=SettingsNow)
async def every(services: Opened, _who: Operator) -> dict[str, Any]:
    """List every setting: value, where it comes from, default, meaning."""
    version, values = await services.runtime.listing()
    return {"version": version, "settings": [value.as_dict() for value in values]}


@router.get("/{name}", response_model=Setting, responses={404: {"model": Problem}})
async def one(name: str, services: Opened, _who: Operator) -> dict[str, Any]:
    """Show one setting."""
    _, values = await services.runtime.listing()
    for value in values:
        if value.name == name:
            return value.as_dict()
    names = [value.name for value in values]
    raise SETTING_UNKNOWN.error(key=name[:200], nearest=", ".join(nearest(name[:200], names)))


@router.patch(
    "",
    response_model=SettingsNow,
    responses={
        404: {"model": Problem},
        409: {"model": Problem, "description": "fixed, or changed meanwhile"},
    },
)
async def change(wanted: Change, services: Opened, who: Operator) -> dict[str, Any]:
    """Change settings for all processes on all hosts, within 2 seconds: all that are named, or none."""
    values = {**wanted.set, **dict.fromkeys(wanted.unset)}
    await services.runtime.change(values, actor=f"{who.issuer} {who.subject}", expected=wanted.version)
    version, now = await services.runtime.listing()
    changed = [value.as_dict() for value in now if value.name in values]
    return {"version": version, "settings": changed}
