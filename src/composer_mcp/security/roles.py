"""Which scopes a role grants. A token's scopes are the most it can do; the roles of an account limit them."""

from __future__ import annotations

from collections.abc import Iterable

TOOLS = frozenset({"compositions:read", "compositions:write", "jobs:read"})
#: What lets somebody into others' affairs. Honoured only with an account whose role grants it: whoever issues
#: tokens for teachers must not be able to make administrators.
ADMINISTRATIVE = frozenset({"jobs:operate", "accounts:manage", "audit:read", "config:manage"})
ALL_SCOPES = TOOLS | ADMINISTRATIVE

ADMINISTRATOR = "administrator"
ROLES: dict[str, frozenset[str]] = {
    "teacher": TOOLS,
    "reader": frozenset({"compositions:read", "jobs:read"}),
    "operator": frozenset({"jobs:read", "jobs:operate", "config:manage"}),
    "auditor": frozenset({"audit:read"}),
    ADMINISTRATOR: ALL_SCOPES,
}
#: What somebody without an account has, where accounts are optional.
WITHOUT_ACCOUNT = TOOLS


def granted(roles: Iterable[str]) -> frozenset[str]:
    """Return what these roles grant together; one that a later release made grants nothing here."""
    return frozenset[str]().union(*(ROLES.get(role, frozenset()) for role in roles))


def granting(scope: str) -> list[str]:
    """Return the roles that grant a scope."""
    return [role for role, scopes in ROLES.items() if scope in scopes]
