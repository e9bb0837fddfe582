-- What an operator sees of jobs, and a queue that keeps room for short ones. Only adds: the previous release goes on
-- calling job_submit, which stays as it was, and its workers take jobs of both classes in one order.

-- The last attempts, oldest first: number, worker, when it began, and how it ended unless that is how the job ended.
alter table job add column history jsonb not null default '[]';

-- Note that an attempt begins; the oldest note gives way when there are 20.
create function job_history_begun(p_history jsonb, p_attempt integer, p_worker text) returns jsonb
language sql as $$
    select case when jsonb_array_length(p_history) >= 20 then p_history - 0 else p_history end
        || jsonb_build_object('attempt', p_attempt, 'worker', p_worker, 'started_at', clock_timestamp())
$$;

-- Note how the newest attempt ended, where the job goes on after it.
create function job_history_ended(p_history jsonb, p_outcome text) returns jsonb
language sql as $$
    select coalesce(
        jsonb_set(p_history, '{-1}', p_history -> -1
                  || jsonb_build_object('outcome', p_outcome, 'finished_at', clock_timestamp())),
        p_history
    )
$$;

create index job_newest on job (created_at desc, id);

-- How many jobs wait, as counted a moment ago: counting them all for each call would cost more the more there are.
create table queue_size (
    single boolean primary key default true check (single),
    waiting integer not null,
    counted_at timestamptz not null
);
insert into queue_size (waiting, counted_at) values (0, '-infinity');

comment on table queue_size is 'the number of waiting jobs as last counted; used where the limit is too high to count up to';

-- As job_submit, with two differences. It can do again what an operator wants done again (p_again), whatever ended
-- it. And the two classes, 0 for short jobs and 1 for long ones, share one clock: a tenant's short jobs are one
-- line, its long jobs another, and all lines of all tenants get equal shares of the slots that both classes may use.
-- outcome: created, repeated (in a job of its own), existing, key_reused, tenant_full, queue_full.
create function job_accept(
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
    p_correlation_id text,
    p_again boolean
) returns table (outcome text, job_id uuid, job_kind text, job_generation integer, job_priority integer, waiting integer)
language plpgsql
-- Each question here has its index. Without this a plan made while few jobs wait, which is kept, reads the whole table
-- when many do.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
    old job;
    waiting_jobs integer;
    head bigint;
    own bigint;
    in_line boolean;
    new_tag bigint;
    new_priority integer;
begin
    -- Held until commit: calls of one tenant are accepted one after another, so that a key is never used twice and
    -- the limit is exact. Always the same row, whatever the class.
    perform from tenant_tag where tenant = p_tenant and class = 1 for update;
    if not found then
        insert into tenant_tag as t (tenant, class, tag) values (p_tenant, 1, 0)
            on conflict (tenant, class) do update set tag = t.tag;
    end if;

    select * into old from job where tenant = p_tenant and idempotency_key = p_key;
    if found then
        if old.arguments_hash <> p_hash then
            return query select 'key_reused', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
        if old.state not in ('cancelled', 'failed') or (
            old.state = 'failed' and not p_again and not coalesce((old.error ->> 'retryable')::boolean, false)
        ) then
            return query select 'existing', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
    end if;

    select count(*) into waiting_jobs from (
        select 1 from job where state in ('queued', 'input_required') and tenant = p_tenant limit p_tenant_limit
    ) w;
    if waiting_jobs >= p_tenant_limit then
        return query select 'tenant_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;
    -- Exact but for what other processes accept in the same moment: a batch each at most. Of a limit that would take
    -- long to count up to, it suffices to know how it was a moment ago.
    waiting_jobs := null;
    if p_total_limit > 2000 then
        select s.waiting into waiting_jobs from queue_size s
            where counted_at > clock_timestamp() - interval '5 seconds';
    end if;
    if waiting_jobs is null then
        select count(*) into waiting_jobs from (select 1 from job where state = 'queued' limit p_total_limit) w;
    end if;
    if waiting_jobs >= p_total_limit then
        return query select 'queue_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;

    select tag into own from tenant_tag where tenant = p_tenant and class = p_class;
    -- A line that is served ahead of the clock, from the slots kept for it, is not made to wait for that later.
    in_line := exists (
        -- The tenant's own jobs first: the other index would be searched through all jobs of the class.
        select from (
            select state, class from job where state in ('queued', 'input_required') and tenant = p_tenant offset 0
        ) own_jobs where state = 'queued' and class = p_class
    );
    head := least(
        (select fairness_tag from job where state = 'queued' and class = 0 order by fairness_tag limit 1),
        (select fairness_tag from job where state = 'queued' and class = 1 order by fairness_tag limit 1)
    );
    if head is null then
        select max(tag) into head from tenant_tag;
    end if;
    new_tag := greatest(case when in_line then own end, head) + p_cost;
    -- PgQueuer runs the highest priority first. The previous release gives the same numbers to its jobs.
    new_priority := -(700000000 + least(new_tag, 699999999));
    insert into tenant_tag as t (tenant, class, tag) values (p_tenant, p_class, new_tag)
        on conflict (tenant, class) do update set tag = excluded.tag;

    if old.id is null then
        insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                         correlation_id, deadline)
            values (p_tenant, p_key, p_kind, p_arguments, p_hash, p_class, new_tag, new_priority,
                    p_correlation_id, clock_timestamp() + p_patience)
            returning 'created', id, kind, generation, priority
            into outcome, job_id, job_kind, job_generation, job_priority;
    else
        update job set idempotency_key = idempotency_key || ' ' || id where id = old.id;
        insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                         correlation_id, deadline, epoch, first_started_at)
            values (p_tenant, p_key, p_kind, p_arguments, p_hash, p_class, new_tag, new_priority,
                    p_correlation_id, clock_timestamp() + p_patience, old.epoch, old.first_started_at)
            returning 'repeated', id, kind, generation, priority
            into outcome, job_id, job_kind, job_generation, job_priority;
    end if;
    perform job_enqueue(job_id, job_generation, job_kind, job_priority);
    waiting := waiting_jobs;
    return next;
end
$$;
