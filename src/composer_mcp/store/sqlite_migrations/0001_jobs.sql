-- Jobs of a server that runs alone. One process writes here, so there is no fairness among hosts and no
-- notification; the rest means what it means on PostgreSQL. Times are seconds since 1970.

create table job (
    id text primary key,
    tenant text not null,
    idempotency_key text not null,
    kind text not null,
    arguments text not null,
    arguments_hash text not null,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'input_required', 'succeeded', 'failed', 'cancelled')),
    result text,
    error text,
    progress real not null default 0,
    progress_message text not null default '',
    -- Every start takes the next epoch and an owner of its own: only the newest attempt may write.
    epoch integer not null default 0,
    owner text,
    -- Starts since the job was last queued by a call or an answer; too many mean that it kills the process.
    attempts integer not null default 0,
    -- How often the job was put into the queue; an entry of an older generation is void.
    generation integer not null default 1,
    input_requests text,
    input_responses text,
    input_deadline real,
    correlation_id text not null,
    created_at real not null,
    updated_at real not null,
    deadline real not null,
    first_started_at real,
    started_at real,
    finished_at real,
    unique (tenant, idempotency_key)
) strict;

create index job_open on job (created_at) where finished_at is null;
create index job_finished on job (finished_at) where finished_at is not null;
