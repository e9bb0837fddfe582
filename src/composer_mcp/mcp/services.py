"""What the tools work with, opened once per process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from composer_mcp.audit.trail import AuditTrail
from composer_mcp.jobs.engine import JobEngine
from composer_mcp.runtime.changes import Changes
from composer_mcp.security.accounts import AccountStore
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.compositions import CompositionRegistry
from composer_mcp.store.job_evidence import JobEvidence


@dataclass(frozen=True, slots=True)
class Services:
    """The job engine, the artifacts, whose compositions there are, who may call, and the audit trail."""

    engine: JobEngine
    artifacts: ArtifactStore
    compositions: CompositionRegistry
    accounts: AccountStore
    audit: AuditTrail
    #: What may change while this runs.
    runtime: Changes
    #: What pages showed when jobs failed, for operators.
    evidence: JobEvidence
    #: Set when this process takes no new work, so that whoever listens to it listens elsewhere.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
