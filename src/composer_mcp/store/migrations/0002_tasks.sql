-- Jobs that can be cancelled and can ask a person; the register of compositions.
-- Only adds, so that processes of the previous release go on beside it. They know neither of the new states:
-- they leave such jobs alone, because all they do names the states in which they do it.

alter table job drop constraint job_state;
-- Not checked against the rows that are there: they satisfied a narrower rule.
alter table job add constraint job_state
    check (state in ('queued', 'running', 'input_required', 'succeeded', 'failed', 'cancelled')) not valid;

alter table job
    add column updated_at timestamptz not null default now(),
    -- The attempt that may write to the job: no number, because a number is given again when the database
    -- loses its last moments in a crash.
    add column owner uuid,
    -- When the owner last made sure of that before an effect outside the database.
    add column held_at timestamptz,
    -- json, not jsonb: questions are shown in the order in which they are asked.
    add column input_requests json,
    add column input_responses json,
    add column input_deadline timestamptz;
alter table job alter column updated_at set default clock_timestamp();
-- Room for new versions of a row on its own page: each job is written some five times.
alter table job set (fillfactor = 80);

create index job_waiting_by_tenant on job (tenant) where state in ('queued', 'input_required');
drop index job_queued_by_tenant;
create index job_asking on job (input_deadline) where state = 'input_required';

-- Put a job into PgQueuer's queue, as its own enqueue does, with the job's id and generation as payload and as
-- the key that makes a second entry impossible. In the database, because the tenant's lock below would
-- otherwise be held while the application is asked what to do next.
create function job_enqueue(p_id uuid, p_generation integer, p_kind text, p_priority integer) returns void
language sql as $$
    with entry as (
        insert into pgqueuer (priority, entrypoint, payload, dedupe_key, headers, status)
        values (p_priority, p_kind, convert_to(p_id || ':' || p_generation, 'UTF8'), p_id || ':' || p_generation,
                'null', 'queued')
        on conflict do nothing
        returning id, entrypoint, priority
    )
    insert into pgqueuer_log (job_id, status, entrypoint, priority)
    select id, 'queued', entrypoint, priority from entry
$$;

-- As before, but: it also puts the job into the queue; jobs that wait for an answer count against the tenant's
-- limit, because otherwise nothing would bound them; what was cancelled is done again by the same call, like
-- what failed in passing, in a job of its own.
-- outcome: created, repeated (in a job of its own), existing, key_reused, tenant_full, queue_full.
create or replace function job_submit(
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
    select tag into own from tenant_tag where tenant = p_tenant and class = p_class for update;
    if not found then
        insert into tenant_tag as t (tenant, class, tag) values (p_tenant, p_class, 0)
            on conflict (tenant, class) do update set tag = t.tag
            returning t.tag into own;
    end if;

    select * into old from job where tenant = p_tenant and idempotency_key = p_key;
    if found then
        if old.arguments_hash <> p_hash then
            return query select 'key_reused', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
        if old.state <> 'cancelled'
           and (old.state <> 'failed' or not coalesce((old.error ->> 'retryable')::boolean, false)) then
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
    select count(*) into waiting_jobs from (select 1 from job where state = 'queued' limit p_total_limit) w;
    if waiting_jobs >= p_total_limit then
        return query select 'queue_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;

    select fairness_tag into head from job where state = 'queued' and class = p_class
        order by fairness_tag limit 1;
    if head is null then
        select max(tag) into head from tenant_tag where class = p_class;
    end if;
    new_tag := greatest(own, head) + p_cost;
    -- PgQueuer runs the highest priority first; 700 million tags fit into one class.
    new_priority := -(p_class * 700000000 + least(new_tag, 699999999));
    update tenant_tag set tag = new_tag where tenant = p_tenant and class = p_class;

    if old.id is null then
        insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                         correlation_id, deadline)
            values (p_tenant, p_key, p_kind, p_arguments, p_hash, p_class, new_tag, new_priority,
                    p_correlation_id, clock_timestamp() + p_patience)
            returning 'created', id, kind, generation, priority
            into outcome, job_id, job_kind, job_generation, job_priority;
    else
        -- What has ended stays as it ended: whoever follows it must not see it begin again. The repetition is a
        -- job of its own, which takes the key over; by its epoch it knows that it is not the first attempt.
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

create table composition (
    -- SHA-256 of the uid: a uid has about 505 characters, more than an index should carry.
    key bytea primary key,
    tenant text not null,
    uid text not null,
    title text not null,
    description text not null,
    author text not null,
    tags text[] not null,
    -- As they are compared: without case and accents, folded by the application.
    folded_tags text[] not null,
    folded text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);

create index composition_newest on composition (tenant, updated_at desc);

comment on table composition is 'whose each composition is, and by what it is found; one row per composition';
