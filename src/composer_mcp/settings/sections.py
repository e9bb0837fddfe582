"""The sections of the configuration that belong to no part alone: names, types, defaults, reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from composer_mcp.alone.defaults import LOCAL_ISSUER, is_local

ASYMMETRIC = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "EdDSA"]


class Section(BaseModel):
    """Base of all sections: a misspelt key is an error, never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebSettings(Section):
    """The HTTP side."""

    slot: Literal["blue", "green"] = Field(
        "blue", description="which of the two web processes of a host this is; gives it its port"
    )
    drain_file: Path | None = Field(None, description="while it exists, /health/ready answers 503")
    workers: int = Field(2, ge=1, le=64, description="processes")
    keep_alive_seconds: int = Field(5, ge=1, description="short, so that a stop is not held up by idle links")
    graceful_seconds: int = Field(60, ge=1, description="time for calls under way when stopping")
    body_limit_bytes: int = Field(
        1024 * 1024, ge=1024, description="largest request; a larger one is refused"
    )
    wait_seconds: float = Field(300, gt=0, description="longest a call waits for its job; the job goes on")
    sessions: bool = Field(
        False,
        description="clients of the protocol before 2026 get a session, in which the server can ask them "
        "something while a call is under way; only where one process answers all calls",
    )

    @model_validator(mode="after")
    def _sessions_live_in_one_process(self) -> WebSettings:
        if self.sessions and self.workers != 1:
            raise ValueError(
                "sessions live in the memory of one process: set workers to 1, or sessions to false"
            )
        return self


class DatabaseSettings(Section):
    """PostgreSQL; several hosts are tried until one accepts writes."""

    hosts: list[str] = Field(min_length=1, description="host:port, or a socket directory")
    name: str = Field("composer", description="name of the database")
    user: str = Field("composer", description="role of the services; may read and write rows, and no more")
    owner: str = Field(
        "composer_owner", description="role that owns the tables; only composer-mcp migrate uses it"
    )
    authority: Path | None = Field(
        None, description="certificate authority; required unless all hosts are local"
    )
    pool_size: int = Field(10, ge=2, description="connections of one web process, at most")
    connect_seconds: float = Field(5, gt=0, description="how long one host may need to let a connection in")
    statement_seconds: float = Field(10, gt=0, description="how long a statement may take")

    @model_validator(mode="after")
    def _encrypted_unless_local(self) -> DatabaseSettings:
        remote = [host for host in self.hosts if not is_local(host)]
        if remote and self.authority is None:
            raise ValueError(f"authority is required, because {remote[0]} is not on this machine")
        return self


class ObjectStoreSettings(Section):
    """Where artifacts are kept: ``s3://bucket`` or ``file:///folder``."""

    url: str = Field(
        pattern=r"^(s3|file)://.+", description="`s3://bucket`, or `file:///folder` on one machine"
    )
    endpoint: str | None = Field(
        None, description="address of an object store of your own, such as `https://store.example.org:8333`"
    )
    region: str = Field("us-east-1", description="as the object store calls it")
    authority: Path | None = Field(
        None, description="certificate authority of the object store; the system's when left out"
    )


class IssuerSettings(Section):
    """One party whose tokens are accepted."""

    issuer: str = Field(description="as in the claim `iss` of its tokens")
    jwks_url: str = Field(description="where it publishes its keys; `https://` only")
    authority: Path | None = Field(None, description="certificate authority; the system's when left out")
    algorithms: list[ASYMMETRIC] = Field(
        ["ES256"], min_length=1, description="with which its tokens may be signed"
    )
    audience: str = Field(description="as in the claim `aud` of tokens for this server")
    scope_claim: str = Field("scope", description="name of the claim with the scopes")
    tenant_claim: str = Field("tenant", description="name of the claim with the tenant")

    @model_validator(mode="after")
    def _keys_only_over_tls(self) -> IssuerSettings:
        # The one exception is our own file of keys; Settings sees to it that only a server alone has it.
        if urlsplit(self.jwks_url).scheme != "https" and self.issuer != LOCAL_ISSUER:
            raise ValueError(
                "jwks_url must begin with https://, because whoever serves the keys can forge tokens"
            )
        return self


class AccessSettings(Section):
    """Who gets in with a good token."""

    accounts: Literal["optional", "required"] = Field(
        "optional",
        description="whether a caller without an account here gets in, with the scopes of his token except "
        "the administrative ones; an account that there is limits its caller in any case",
    )


class WorkerSettings(Section):
    """One worker process with one browser."""

    concurrency: int = Field(2, ge=2, le=32, description="jobs at a time")
    interactive_slots: int = Field(
        1,
        ge=1,
        description="how many of them are kept for short jobs, which only read (previews, reads, connection "
        "tests), so that nobody who looks on waits behind long ones; fewer than concurrency",
    )
    job_timeout_seconds: float = Field(120, gt=0, description="limit of one attempt at one job")
    heartbeat_seconds: float = Field(
        3, ge=1, description="a job without a sign of life for so long is taken over"
    )
    poll_seconds: float = Field(0.5, gt=0, description="how often an idle worker looks without being told")
    attempt_limit: int = Field(3, ge=1, description="a job that took down that many workers is given up")

    @model_validator(mode="after")
    def _long_jobs_have_a_slot(self) -> WorkerSettings:
        if self.interactive_slots >= self.concurrency:
            raise ValueError("interactive_slots must be less than concurrency, or long jobs were never done")
        return self


class CompositionsSettings(Section):
    """Whose compositions are whose."""

    unowned: Literal["allow", "refuse"] = Field(
        "allow",
        description="whether a composition that no tenant owns, such as one made by hand in Composer, may be "
        "used by whoever has its whole uid; the first tenant that writes to it owns it from then on",
    )


class QueueSettings(Section):
    """Bounds of the queue and of what is remembered."""

    per_tenant_limit: int = Field(
        100, ge=1, le=1_000_000, description="jobs of one tenant that may wait; more are refused"
    )
    total_limit: int = Field(
        1000, ge=1, le=1_000_000, description="jobs of all tenants that may wait; more are refused"
    )
    deadline_seconds: float = Field(
        300, gt=0, le=7 * 86400, description="a job that has not started by then fails"
    )
    input_seconds: float = Field(
        86400, gt=0, description="a job whose question nobody has answered by then fails"
    )
    retention_days: float = Field(
        30, gt=0, le=3650, description="finished jobs, and with them idempotency keys, live so long"
    )


class MetricsSettings(Section):
    """Prometheus."""

    directory: Path | None = Field(
        None,
        description="shared by all processes of the host, so that /metrics of the web shows the workers too; "
        "$RUNTIME_DIRECTORY/metrics when left out",
    )


class LogSettings(Section):
    """Log lines on standard error; under systemd, entries of the journal with fields."""

    format: Literal["json", "console"] = Field(
        "json", description="`json` for machines, `console` for a person who looks on"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least serious lines that are written"
    )
    journal_socket: Path = Field(
        Path("/run/systemd/journal/socket"),
        description="where the journal takes entries; used when standard error leads to the journal "
        "($JOURNAL_STREAM)",
    )
