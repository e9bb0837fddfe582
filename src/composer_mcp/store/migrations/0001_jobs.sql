-- Jobs: what was asked, by whom, how it went. The queue itself belongs to PgQueuer; this table is the truth.

create table job (
    id uuid primary key default gen_random_uuid(),
    tenant text not null,
    idempotency_key text not null,
    kind text not null,
    -- json, not jsonb: a composition must come back with its keys in the order in which they were written.
    arguments json not null,
    arguments_hash text not null,
    class smallint not null,
    fairness_tag bigint not null,
    priority integer not null,
    state text not null default 'queued'
        constraint job_state check (state in ('queued', 'running', 'succeeded', 'failed')),
    result json,
    error jsonb,
    progress double precision not null default 0,
    progress_message text not null default '',
    -- The fence: every start takes the next number, and only the holder of the newest may finish.
    epoch integer not null default 0,
    -- Starts since the job was last queued; too many mean that the job kills its workers.
    attempts integer not null default 0,
    -- How often the job was put into the queue; an entry of an older generation is void.
    generation integer not null default 1,
    correlation_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    deadline timestamptz not null,
    first_started_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    constraint job_idempotency unique (tenant, idempotency_key)
);

create index job_queued_by_tag on job (class, fairness_tag) where state = 'queued';
create index job_queued_by_tenant on job (tenant) where state = 'queued';
create index job_open on job (id) where state in ('queued', 'running');
create index job_finished on job (finished_at) where finished_at is not null;

comment on table job is 'one row per call of a tool; deleted some days after it has finished';

-- Start-time fair queueing: a job's tag is the tenant's last tag or the head of the queue, whichever is
-- later, plus its cost; the smallest tag runs first. A tenant that queues a thousand jobs delays itself.
create table tenant_tag (
    tenant text not null,
    class smallint not null,
    tag bigint not null,
    primary key (tenant, class)
);

comment on table tenant_tag is 'the last fairness tag given to each tenant';

-- Accept a job, or return the one that the same idempotency key made, or refuse.
-- outcome: created, requeued (the earlier attempt had failed in a way that a repetition can mend),
-- existing, key_reused, tenant_full, queue_full. The caller puts the job into the queue in the same
-- transaction when the outcome is created or requeued.
create function job_submit(
    p_tenant text,
    p_key text,
    p_kind text,
    p_arguments json,
    p_hash text,
    p_class smallint,
    p_cost integer,
    p_patience interval,
    p_tenant_limit integer,
    p_total_limit integer,
    p_correlation_id text
) returns table (outcome text, job_id uuid, job_kind text, job_generation integer, job_priority integer, waiting integer)
language plpgsql as $$
#variable_conflict use_column
declare
    old job;
    waiting_jobs integer;
    head bigint;
    own bigint;
    new_tag bigint;
    new_priority integer;
begin
    -- Held until commit: calls of one tenant are accepted one after another, so that a key is never
    -- used twice and the limit is exact.
    insert into tenant_tag as t (tenant, class, tag) values (p_tenant, p_class, 0)
        on conflict (tenant, class) do update set tag = t.tag
        returning t.tag into own;

    select * into old from job where tenant = p_tenant and idempotency_key = p_key;
    if found then
        if old.arguments_hash <> p_hash then
            return query select 'key_reused', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
        if old.state <> 'failed' or not coalesce((old.error ->> 'retryable')::boolean, false) then
            return query select 'existing', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
    end if;

    select count(*) into waiting_jobs
        from (select 1 from job where state = 'queued' and tenant = p_tenant limit p_tenant_limit) w;
    if waiting_jobs >= p_tenant_limit then
        return query select 'tenant_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;
    select count(*) into waiting_jobs from (select 1 from job where state = 'queued' limit p_total_limit) w;
    if waiting_jobs >= p_total_limit then
        return query select 'queue_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;

    select min(fairness_tag) into head from job where state = 'queued' and class = p_class;
    if head is null then
        select max(tag) into head from tenant_tag where class = p_class;
    end if;
    new_tag := greatest(own, head) + p_cost;
    -- PgQueuer runs the highest priority first; 700 million tags fit into one class.
    new_priority := -(p_class * 700000000 + least(new_tag, 699999999));
    update tenant_tag set tag = new_tag where tenant = p_tenant and class = p_class;

    if old.id is null then
        return query
            insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                             correlation_id, deadline)
            values (p_tenant, p_key, p_kind, p_arguments, p_hash, p_class, new_tag, new_priority,
                    p_correlation_id, clock_timestamp() + p_patience)
            returning 'created', id, kind, generation, priority, waiting_jobs;
    else
        return query
            update job set state = 'queued', error = null, progress = 0, progress_message = '', attempts = 0,
                           generation = generation + 1, fairness_tag = new_tag, priority = new_priority,
                           correlation_id = p_correlation_id, finished_at = null,
                           deadline = clock_timestamp() + p_patience
            where id = old.id
            returning 'requeued', id, kind, generation, priority, waiting_jobs;
    end if;
end
$$;
