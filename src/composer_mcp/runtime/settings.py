"""Settings that exist for being changed while the server runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class IntakeSettings(BaseModel):
    """Whether new work is accepted; work that was accepted before goes on either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["accept", "refuse"] = Field(
        "accept",
        description="with `refuse` new jobs are turned away with a sentence and a time to come back, as "
        "before maintenance; jobs already accepted are done, answered and told as ever",
    )
    reason: str = Field(
        "",
        max_length=200,
        description="what callers are told while jobs are refused, such as `Maintenance until 18:00.`",
    )
    retry_seconds: int = Field(
        60, ge=1, le=86400, description="after how many seconds refused callers are told to come back"
    )
