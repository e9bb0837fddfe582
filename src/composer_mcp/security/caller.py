"""Who is calling: the part of a verified token that the rest of the server needs."""

from __future__ import annotations

import getpass
import math
from contextvars import ContextVar
from dataclasses import dataclass

from composer_mcp.errors import MISSING_SCOPE

#: What each tool asks of a token.
SCOPES = {
    "get_lesson_guidance": "compositions:read",
    "suggest_widgets": "compositions:read",
    "get_widget_catalog": "compositions:read",
    "validate_lesson": "compositions:read",
    "create_composition": "compositions:write",
    "search_compositions": "compositions:read",
    "get_composition": "compositions:read",
    "update_composition": "compositions:write",
    "duplicate_composition": "compositions:write",
    "preview_composition": "compositions:read",
    "list_versions": "compositions:read",
    "restore_version": "compositions:write",
    "list_templates": "compositions:read",
    "get_template": "compositions:read",
    "apply_template": "compositions:write",
    "get_job": "jobs:read",
    "cancel_job": "compositions:write",
    "test_connection": "compositions:read",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified identity; ``expires_at`` is in seconds since 1970."""

    issuer: str
    subject: str
    tenant: str
    scopes: frozenset[str]
    expires_at: float

    def may_use(self, tool: str) -> bool:
        """Whether the token has the scope of a tool; an unknown tool needs none, for it does nothing."""
        return tool not in SCOPES or SCOPES[tool] in self.scopes

    def require(self, tool: str) -> None:
        """Raise ``insufficient_scope`` unless the caller may use the tool."""
        if not self.may_use(tool):
            raise MISSING_SCOPE.error(tool=tool, scope=SCOPES[tool])


#: Whom everything belongs to on a server that runs alone, whichever way its user comes in.
LOCAL_TENANT = "local"


def user_name() -> str:
    """Return the name of the user whose process this is."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # The number has no name; Python 3.13 raises the one, earlier versions the other.
        return "local user"


def local_user() -> Caller:
    """Return the user who started this process: nobody else can speak to it, and everything is theirs."""
    return Caller(
        issuer="this machine",
        subject=user_name(),
        tenant=LOCAL_TENANT,
        scopes=frozenset(SCOPES.values()),
        expires_at=math.inf,
    )


#: Set by the gate for the time of one request, and inherited by the tasks that answer it.
current: ContextVar[Caller] = ContextVar("caller")
