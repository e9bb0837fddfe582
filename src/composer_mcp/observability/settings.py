"""Settings of what leaves the house, when somebody wants it to: traces and error reports."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from composer_mcp.alone.defaults import is_local


class TracesSettings(BaseModel):
    """OpenTelemetry traces, sent as OTLP over HTTP; none without an endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        description="where a collector takes traces, such as https://collector.example.org/v1/traces; "
        "no traces are made when left out",
    )
    authority: Path | None = Field(None, description="certificate authority; the system's when left out")
    authorization: bool = Field(
        False, description="send the secret traces-authorization as the header Authorization"
    )
    sample: float = Field(
        0.1, ge=0, le=1, description="share of the calls that are traced; callers cannot change it"
    )
    queue_spans: int = Field(
        2048, ge=256, le=65536, description="spans that wait to be sent; when there are more, the oldest go"
    )

    @model_validator(mode="after")
    def _encrypted_unless_local(self) -> TracesSettings:
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            if parts.scheme != "https" and not is_local(parts.netloc):
                raise ValueError("endpoint must begin with https://, because it is not on this machine")
        return self


class ReportsSettings(BaseModel):
    """Error reports in Sentry's protocol; none unless enabled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(False, description="send reports to the address in the secret error-reports-dsn")
    authority: Path | None = Field(None, description="certificate authority; the system's when left out")
    environment: str = Field(
        "production", pattern=r"^[\w.-]{1,64}$", description="by what the receiver tells installations apart"
    )
    per_minute: int = Field(
        30, ge=1, le=1000, description="reports of one process; of one kind of error a tenth of these"
    )
