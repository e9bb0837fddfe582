"""Commands with which an operator looks at the jobs of all tenants, stops them and has them done again."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from composer_mcp.cli.common import AsJson, Config, Secrets, prepare, print_json, progress, secrets

if TYPE_CHECKING:
    from composer_mcp.jobs.admin import Attempt, JobAdmin, JobDetail, JobSummary
    from composer_mcp.store.job_evidence import KeptEvidence

T = TypeVar("T")

commands = typer.Typer(
    name="jobs",
    help="Look at the jobs of all tenants, cancel them, have failed ones done again.",
    no_args_is_help=True,
)

STATES = ("queued", "running", "input_required", "succeeded", "failed", "cancelled", "dead")
LIST_LIMIT = 1000


def _states(incomplete: str) -> list[str]:
    return [state for state in STATES if state.startswith(incomplete)]


def _kinds(incomplete: str) -> list[str]:
    from composer_mcp.jobs.requests import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


Job = Annotated[uuid.UUID, typer.Argument(metavar="JOB", help="the job's id, as lists and errors show it")]


@commands.command("list", epilog="Example: composer-mcp jobs list --state dead --tenant school")
def list_(
    tenant: Annotated[str | None, typer.Option(help="only of this tenant")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help=f"only in this state: {', '.join(STATES)}; dead are those given up because they took their "
            "workers down",
            autocompletion=_states,
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="only of this kind", autocompletion=_kinds)] = None,
    before: Annotated[
        uuid.UUID | None, typer.Option(metavar="JOB", help="only jobs older than this one: the next page")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="at most so many")] = 50,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """List jobs of all tenants, newest first; finished ones as long as they are kept."""
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"there is no state {state}. Known: {', '.join(STATES)}.")
    if kind is not None and kind not in (known := _kinds("")):
        raise typer.BadParameter(f"there is no kind {kind}. Known: {', '.join(known)}.")
    from composer_mcp.jobs.admin import Filter

    which = Filter(tenant=tenant, state=state, kind=kind, before=before, limit=limit)
    found = _with(config, credentials, "reading the jobs", lambda jobs: jobs.list(which))
    if as_json:
        from composer_mcp.jobs.admin_views import summary_of

        print_json({"jobs": [summary_of(job) for job in found]})
        return
    if not found:
        typer.echo("no such jobs")
        return
    _table(
        ("JOB", "TENANT", "KIND", "STATE", "CREATED", "LASTED", "TRIES", "WORKER"),
        [_line(job) for job in found],
    )
    if len(found) == limit:
        typer.echo(f"the newest {limit}; older ones: --before {found[-1].job_id}")


@commands.command(epilog="Example: composer-mcp jobs show 0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55 --json")
def show(job: Job, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Show how a job went: its attempts with their workers, and how it ended. Not what its tenant wrote."""
    _told(_with(config, credentials, "reading the job", lambda jobs: jobs.show(job)), as_json)


@commands.command(epilog="Example: composer-mcp jobs cancel 0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55")
def cancel(job: Job, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Stop a job within a second; what it has saved stays saved. A finished job is shown as it is."""
    done = _with(
        config, credentials, "cancelling the job", lambda jobs: jobs.cancel(job), ("job.cancel", job)
    )
    _told(done, as_json)


@commands.command(epilog="Example: composer-mcp jobs repeat 0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55")
def repeat(job: Job, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Have a failed job done again under its idempotency key: what was saved before is not saved twice.

    It is a job of its own, which the next call with that key gets the result of; the failed one stays as it
    ended. Repeating it twice makes one job.
    """
    correlation_id = uuid.uuid4().hex
    done = _with(
        config,
        credentials,
        "queueing the job",
        lambda jobs: jobs.repeat(job, correlation_id),
        ("job.repeat", job),
    )
    if as_json:
        from composer_mcp.jobs.admin_views import repeated_of

        print_json(repeated_of(done))
    elif done.created:
        typer.echo(f"{job} is done again as {done.job_id}")
    else:
        typer.echo(f"{job} was repeated before, as {done.job_id}")


@commands.command(
    epilog="Example: composer-mcp jobs evidence 0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55 --picture window.jpg"
)
def evidence(
    job: Job,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the picture of the window there (JPEG)")
    ] = None,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Tell what the page showed when a job failed: its address, what it complained of, a picture.

    The picture may show the work of others than the job's tenant.
    """
    settings = prepare(config)
    from composer_mcp.errors import EVIDENCE_UNKNOWN
    from composer_mcp.jobs.opening import job_evidence

    async def run() -> KeptEvidence | None:
        async with job_evidence(settings, secrets(settings, credentials)) as kept:
            return await kept.of(job)

    with progress("reading the evidence"):
        found = asyncio.run(run())
    if found is None or (picture is not None and found.picture is None):
        raise EVIDENCE_UNKNOWN.error(job_id=job)
    if picture is not None and found.picture is not None:
        write_new(picture, found.picture)
    view = {"job_id": str(job), "attempt": found.epoch, "taken_at": found.taken_at.isoformat()}
    told = view | found.seen | {"picture": found.picture is not None}
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        for line in value if isinstance(value, list) else [value]:
            typer.echo(f"{name:<15} {line}")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; one that is there is replaced."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _with(
    config: Path | None,
    credentials: Path | None,
    what: str,
    call: Callable[[JobAdmin], Awaitable[T]],
    change: tuple[str, uuid.UUID] | None = None,
) -> T:
    """Do something with the jobs; a ``change`` (action and job) is recorded in the audit trail."""
    settings = prepare(config)
    from composer_mcp.audit.opening import by_hand, recorded
    from composer_mcp.jobs.opening import job_admin

    folder = secrets(settings, credentials)

    async def run() -> T:
        async with contextlib.AsyncExitStack() as stack:
            if change is not None:
                action, job = change
                await stack.enter_async_context(recorded(settings, folder, by_hand(action, str(job))))
            jobs = await stack.enter_async_context(job_admin(settings, folder))
            return await call(jobs)

    with progress(what):
        return asyncio.run(run())


def _told(detail: JobDetail, as_json: bool) -> None:
    if as_json:
        from composer_mcp.jobs.admin_views import detail_of

        print_json(detail_of(detail))
        return
    from composer_mcp.observability.masking import redact

    job = detail.summary
    facts: dict[str, Any] = {
        "job": job.job_id,
        "tenant": job.tenant,
        "kind": f"{job.kind} ({'short' if job.short else 'long'})",
        "state": _state(job),
        "created": _moment(job.created_at),
        "finished": job.finished_at and _moment(job.finished_at),
        "starts by": _moment(detail.deadline) if job.started_at is None and not job.state.finished else None,
        "progress": None
        if job.state.finished
        else f"{detail.progress:.0%} {detail.progress_message}".strip(),
        "asks": ", ".join(detail.asks),
        "key": detail.idempotency_key,
        "correlation": detail.correlation_id,
        "repeated as": detail.repeated_as,
    }
    if detail.evidence is not None:
        facts["evidence"] = f"what its page showed is kept: composer-mcp jobs evidence {job.job_id}"
    if detail.error is not None:
        facts |= {"error": detail.error["message"], "remedy": detail.error["remedy"]}
    for name, value in facts.items():
        if value:
            typer.echo(f"{name:<12} {redact(str(value))}")
    if detail.attempts:
        typer.echo("")
        _table(
            ("ATTEMPT", "WORKER", "STARTED", "LASTED", "OUTCOME"),
            [_attempt(attempt) for attempt in detail.attempts],
        )
        if job.attempts > len(detail.attempts):
            typer.echo(f"of {job.attempts} attempts; the others began before these, or are not remembered")


def _line(job: JobSummary) -> tuple[str, ...]:
    return (
        str(job.job_id),
        job.tenant,
        job.kind,
        _state(job),
        _moment(job.created_at),
        _lasted(job.started_at, job.finished_at),
        str(job.attempts),
        job.worker or "",
    )


def _attempt(attempt: Attempt) -> tuple[str, ...]:
    lasted = _lasted(attempt.started_at, attempt.finished_at)
    return (str(attempt.number), attempt.worker, _moment(attempt.started_at), lasted, attempt.outcome)


def _state(job: JobSummary) -> str:
    if job.dead:
        return "dead"
    return f"{job.state.value} ({job.error_code})" if job.state.value == "failed" else job.state.value


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _lasted(began: datetime | None, ended: datetime | None) -> str:
    return "" if began is None or ended is None else f"{(ended - began).total_seconds():.1f} s"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    for line in [heads, *lines]:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
