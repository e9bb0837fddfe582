"""What applies now in this process: the configuration, and what was changed at run time on top of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from composer_mcp.runtime.keys import CHANGEABLE
from composer_mcp.runtime.settings import IntakeSettings
from composer_mcp.settings.sections import LogSettings, QueueSettings, WorkerSettings

if TYPE_CHECKING:
    from composer_mcp.runtime.store import Stored
    from composer_mcp.settings import Settings

LOUDNESS = ("error", "warning", "info", "debug")

log = structlog.get_logger(__name__)


class RuntimeSettings(BaseModel):
    """The sections of which something may change; ``version`` counts the changes, 0 means none yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    intake: IntakeSettings
    log: LogSettings
    queue: QueueSettings
    worker: WorkerSettings

    @classmethod
    def of(cls, settings: Settings) -> RuntimeSettings:
        """Return what the configuration says, with nothing overridden."""
        return cls(
            version=0,
            intake=settings.intake,
            log=settings.log,
            queue=settings.queue,
            worker=settings.worker,
        )

    @property
    def accepting(self) -> QueueSettings:
        """The bounds of the queue for new jobs: no room at all while they are refused.

        So a call that had been accepted before finds its job all the same.
        """
        if self.intake.mode == "accept":
            return self.queue
        return self.queue.model_copy(update={"per_tenant_limit": 0, "total_limit": 0})

    @property
    def room(self) -> tuple[int, int]:
        """How many jobs may wait, of one tenant and of all, for another one to be accepted."""
        return self.accepting.per_tenant_limit, self.accepting.total_limit

    def overridden(self, values: Mapping[str, Any], version: int) -> RuntimeSettings:
        """Return a copy in which ``values``, by dotted name, apply.

        Raises:
            ValidationError: a value, or what they are together, is not allowed.
        """
        sections = {
            name: getattr(self, name).model_dump() for name in type(self).model_fields if name != "version"
        }
        for key, value in values.items():
            section, _, field = key.partition(".")
            sections[section][field] = value
        return type(self).model_validate({"version": version, **sections})


class Live:
    """The present :class:`RuntimeSettings` of this process; whoever uses one asks here each time."""

    def __init__(self, settings: Settings) -> None:
        self._base = RuntimeSettings.of(settings)
        self._now = self._base
        self._listeners: list[Callable[[RuntimeSettings], None]] = []
        self._ignored: set[str] = set()

    def current(self) -> RuntimeSettings:
        """Return what applies now."""
        return self._now

    def on_change(self, listener: Callable[[RuntimeSettings], None]) -> None:
        """Have ``listener`` called after each change, with what applies from then on."""
        self._listeners.append(listener)

    def apply(self, stored: Stored) -> None:
        """Take over what was stored; what this release does not understand is left out and logged once."""
        if stored.version == self._now.version:
            return
        now, ignored = take_over(self._base, stored.values, stored.version)
        for key, reason in ignored.items():
            if key not in self._ignored:
                log.warning("runtime.setting_ignored", setting=key, reason=reason)
        self._ignored = set(ignored)
        before, self._now = self._now, now
        # Told while the louder of the two levels holds, to be seen also where the level itself changes.
        louder = LOUDNESS.index(now.log.level) > LOUDNESS.index(before.log.level)
        if not louder:
            self._tell(stored)
        for listener in self._listeners:
            listener(now)
        if louder:
            self._tell(stored)

    def _tell(self, stored: Stored) -> None:
        log.info("runtime.changed", version=stored.version, settings=sorted(stored.values))


def take_over(
    base: RuntimeSettings, values: Mapping[str, Any], version: int
) -> tuple[RuntimeSettings, dict[str, str]]:
    """Return ``base`` with as many of ``values`` as are allowed, and why the others are not.

    Another release may have stored them: it may know other settings and other bounds.
    """
    ignored = {key: "this release cannot change it at run time" for key in values.keys() - set(CHANGEABLE)}
    known = {key: value for key, value in values.items() if key not in ignored}
    try:
        return base.overridden(known, version), ignored
    except ValidationError:
        # One by one, so that a wrong one does not take the others with it.
        kept: dict[str, Any] = {}
        for key, value in sorted(known.items()):
            try:
                base.overridden({**kept, key: value}, version)
            except ValidationError as error:
                ignored[key] = error.errors(include_url=False)[0]["msg"]
            else:
                kept[key] = value
        return base.overridden(kept, version), ignored
