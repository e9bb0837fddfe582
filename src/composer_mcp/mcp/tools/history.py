"""Earlier versions of a composition."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import StringConstraints

from composer_mcp.jobs.requests import ListVersions, RestoreVersion
from composer_mcp.mcp import consent
from composer_mcp.mcp.calls import Call
from composer_mcp.mcp.consent import Confirm, Consent
from composer_mcp.mcp.schemas import READS, RESTORES, tool
from composer_mcp.mcp.tools.common import SENDABLE, Expected, Key, Uid, done
from composer_mcp.mcp.views import SavedView, VersionsView

VersionUid = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=SENDABLE)]


async def list_versions(uid: Uid, call: Call) -> Annotated[CallToolResult, VersionsView]:
    """List the saved versions of a composition, newest first."""
    return await done(call, ListVersions(uid=uid))


async def _agreed(call: Call, confirm: bool) -> Elicit[Consent] | Consent:
    step = (
        "Voltar a composição a uma versão anterior? O estado atual fica no histórico. / "
        "Put an earlier version of the composition back? The present one stays in its history."
    )
    return consent.ask(call, step, confirm=confirm)


async def restore_version(
    uid: Uid,
    version_uid: VersionUid,
    call: Call,
    answer: Annotated[consent.Answer, Resolve(_agreed)],
    expected_version: Expected = None,
    confirm: Confirm = False,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, SavedView]:
    """Make an earlier version, from list_versions, the present one again."""
    consent.require(answer)
    request = RestoreVersion(uid=uid, version_uid=version_uid, expected_version=expected_version)
    return await done(call, request, idempotency_key)


TOOLS = [
    tool(list_versions, "List versions of a composition", READS),
    tool(restore_version, "Restore a version", RESTORES),
]
