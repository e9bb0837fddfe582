"""Who is calling: the part of a verified token that the rest of the server needs."""

from __future__ import annotations

import getpass
import math
from contextvars import ContextVar
from dataclasses import dataclass

from composer_mcp.errors import MISSING_SCOPE, ROLE_MISSING
from composer_mcp.security.roles import granting

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
    """A verified identity; ``expires_at`` is in seconds since 1970.

    ``scopes`` is what counts: those of the token, as far as the roles of the caller's account grant them.
    ``withheld`` are the others of the token. ``token_id`` is the token's own (``jti``), empty if it has none;
    ``issued_at`` is in seconds since 1970, too.
    """

    issuer: str
    subject: str
    tenant: str
    scopes: frozenset[str]
    expires_at: float
    token_id: str = ""
    issued_at: float = 0.0
    account: str | None = None
    roles: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()

    def may_use(self, tool: str) -> bool:
        """Whether the caller has the scope of a tool; an unknown tool needs none, for it does nothing."""
        return tool not in SCOPES or SCOPES[tool] in self.scopes

    def require(self, tool: str) -> None:
        """Raise ``insufficient_scope`` or ``role_missing`` unless the caller may use the tool."""
        if not self.may_use(tool):
            self.require_scope(SCOPES[tool], f"The tool {tool}")

    def require_scope(self, scope: str, what: str) -> None:
        """Raise an error about ``what``, the beginning of a sentence, unless the caller has the scope.

        Raises:
            insufficient_scope: the token lacks it; another one may have it.
            role_missing: the token has it, and no role grants it.
        """
        if scope in self.withheld:
            raise ROLE_MISSING.error(what=what, scope=scope, roles=", ".join(granting(scope)))
        if scope not in self.scopes:
            raise MISSING_SCOPE.error(what=what, scope=scope)


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
