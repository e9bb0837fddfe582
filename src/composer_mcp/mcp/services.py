"""What the tools work with, opened once per process."""

from __future__ import annotations

from dataclasses import dataclass

from composer_mcp.jobs.engine import JobEngine
from composer_mcp.store.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Services:
    """The job engine and the artifacts."""

    engine: JobEngine
    artifacts: ArtifactStore
